"""Commands to the agent itself.

    ping                    LEVEL   an answer comes
    sensor.read             LEVEL   the newest reading
    agent.info              LEVEL   which board and firmware, how long it runs
    agent.config settings   LEVEL   those given are tried (see settings); the answer tells what holds now
    agent.reboot            ONCE    it restarts, when this answer is on its way
    queue.stats             LEVEL   what waits in the ring, and what was lost
    queue.purge  confirm    ONCE    sectors of readings that wait are dropped, and reported as lost

`confirm` is the id of the ring, as `queue.stats` tells it.
"""

from fieldpost.commands.journal import STATUS_DONE
from fieldpost.commands.word import LEVEL, ONCE, Word
from fieldpost.limits import REBOOT_DELAY_MS
from fieldpost.shapes import Mismatch, Text


def _ping(context, arguments, now_ms):
    return ()


def _sensor_read(context, arguments, now_ms):
    agent = context.agent
    if agent.last_reading is None:
        raise OSError("there is no reading yet")
    return tuple([(key, text.encode()) for key, text in agent.reading_schema.named(agent.last_reading)])


def _info(context, arguments, now_ms):
    return context.about()


def _settings():
    from fieldpost.commands.settings import fields  # memory that a device which nobody configures does not need

    return fields()


def _stated(arguments):
    return {key: arguments[key] for key in arguments if arguments[key] is not None}


def _check_config(context, arguments, now_ms):
    context.settings().check(_stated(arguments))


def _config(context, arguments, now_ms):
    settings = context.settings()
    asked = _stated(arguments)
    if asked:
        settings.ask(asked)
    status = settings.status()
    return tuple([(key, status[key]) for key in ("status", "sample_interval_ms", "batch_records", "batch_age_ms")])


def _reboot(context, arguments, now_ms):
    context.reboot_ms = now_ms + REBOOT_DELAY_MS
    return (("in_ms", REBOOT_DELAY_MS),)


def _stats(context, arguments, now_ms):
    ring = context.ring
    return (
        ("ring", "%08x" % ring.ring_id),
        ("pending", ring.pending),
        ("oldest", ring.oldest),
        ("next", ring.next_number),
        ("lost", ring.lost),
        ("damaged", ring.damaged),
        ("sectors", ring.sectors),
    )


def _check_purge(context, arguments, now_ms):
    if arguments["confirm"] != "%08x" % context.ring.ring_id:
        raise Mismatch("confirm must be the ring's id, which queue.stats tells")


class _Purge:
    """One sector a step, the newest but the open one first: an erase takes its time."""

    def __init__(self, context, arguments, now_ms):
        self._ring = context.ring
        self._pending = context.ring.pending
        self._end = context.ring.newest
        self._next = self._end - 1

    def step(self, now_ms):
        ring = self._ring
        if ring.drop_sector(self._next):
            self._next -= 1
            return None
        ring.begin_at(self._end)
        return STATUS_DONE, (("dropped", max(0, self._pending - ring.pending)),)


WORDS = (
    Word("ping", LEVEL, tuple, _ping),
    Word("sensor.read", LEVEL, tuple, _sensor_read),
    Word("agent.info", LEVEL, tuple, _info),
    Word("agent.config", LEVEL, _settings, _config, check=_check_config),
    Word("agent.reboot", ONCE, tuple, _reboot),
    Word("queue.stats", LEVEL, tuple, _stats),
    Word("queue.purge", ONCE, lambda: (("confirm", Text(8, "the ring's id")),), _Purge, check=_check_purge),
)
