"""The core broken on purpose, one promise at a time: judges who do not notice are no judges.

Each mutant patches one class or module of the core while a life is lived, as a careless change would.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fieldpost.commands import executor, journal
from fieldpost.commands.outputs import Outputs
from fieldpost.records.timeline import Timeline
from fieldpost.ring import frame, log, recovery
from fieldpost.ring import sector as sector_header
from fieldpost.uplink import ahead, batch, lane

from host_tools.simulate.life import YEAR_MS, Outcome, live

SEEDS = range(1, 121)  # one of these lives must catch the mutant
YEARS = 0.0015
# What needs a rare coincidence is looked for first where it was found last; any change of the world may move it.
LIKELY_SEEDS = {
    "what has arrived ahead lets what lies before it be forgotten": 3,
    "a batch that is still to leave again counts as overdue": 3,
    "what waits is sent newest first": 2,
}

# Where to patch, what, and what to put there: made from what stands there.
Patch = tuple[Any, str, Callable[[Any], Any]]


def _constant_crc_seed(original: Any) -> Any:
    return lambda ring_id, sequence: 0


def _skip_erase_without_header(original: Any) -> Any:
    def erase(self: Any, sequence: int) -> None:
        head = memoryview(bytearray(sector_header.HEADER_BYTES))
        self.region.read(sequence % self.sectors * self.region.sector_bytes, head)
        if sector_header.unpack(head) is not None:
            original(self, sequence)

    return erase


def _last_number_again(original: Any) -> Any:
    def recover(region: Any, page: Any) -> Any:
        state = original(region, page)
        state.next_number = max(state.next_number - 1, state.cursor + 1)
        return state

    return recover


class _WriteBehind:
    """A region that keeps the last program to itself until the next operation, as a careless cache does."""

    def __init__(self, region: Any) -> None:
        self._region = region
        self._kept: tuple[int, bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._region, name)

    def read(self, offset: int, buffer: memoryview) -> None:
        self._region.read(offset, buffer)
        if self._kept is not None:
            at, data = self._kept
            for index in range(max(at, offset), min(at + len(data), offset + len(buffer))):
                buffer[index - offset] = data[index - at]

    def program(self, offset: int, data: memoryview) -> None:
        self._write()
        self._kept = offset, bytes(data)

    def erase(self, sector: int) -> None:
        self._write()
        self._region.erase(sector)

    def _write(self) -> None:
        if self._kept is not None:
            (offset, data), self._kept = self._kept, None
            self._region.program(offset, data)


def _append_returns_early(original: Any) -> Any:
    return lambda self, region, scratch=None: original(self, _WriteBehind(region), scratch)


def _forget_when_sent(original: Any) -> Any:
    def send_new(self: Any, now_ms: int, outlet: Any) -> Any:
        is_sent = original(self, now_ms, outlet)
        if is_sent:
            self._ring.forget(self._next - 1)
        return is_sent

    return send_new


def _close_confirms(original: Any) -> Any:
    def disconnected(self: Any) -> None:
        original(self)
        for position in range(self.window.count):
            packet_id = self.window.batch(position)[0]
            if packet_id:
                self.acknowledged(packet_id)
                return

    return disconnected


def _lost_kept_secret(original: Any) -> Any:
    def add_lost(self: Any, first: int, last: int) -> bool:
        self.lost += last - first + 1
        return True

    return add_lost


def _lost_miscounted(original: Any) -> Any:
    return lambda self, first, last: original(self, first, max(first, last - 1))


def _new_message_id_each_time(original: Any) -> Any:
    count = iter(range(1 << 60))
    return lambda self, ring_id: f"{original(self, ring_id)}-{next(count)}"


def _begun_only_remembered(original: Any) -> Any:
    return lambda self, key: self._remember(journal.BEGUN, key, 0)


def _done_before_answer(original: Any) -> Any:
    def finish(self: Any, command: Any, status: str, result: Any) -> None:
        if command.key is not None:
            self._noted(self._journal.done, command.key, status)
        original(self, command, status, result)

    return finish


def _acknowledged_on_arrival(original: Any) -> Any:
    def enqueue(self: Any, command: Any) -> Any:
        is_taken = original(self, command)
        self.done_callback(command.token)
        return is_taken

    return enqueue


def _no_number_retired(original: Any) -> Any:
    return lambda page, offset, end, number, align: 0


def _waiting_counts_as_sent(original: Any) -> Any:
    def overdue(self: Any, now_ms: int, timeout_ms: int) -> bool:
        since_ms = self.window.waiting_since_ms(self.window.count)
        return since_ms is not None and now_ms - since_ms > timeout_ms

    return overdue


def _pulse_ends_late(original: Any) -> Any:
    return lambda self, now_ms: original(self, now_ms - 10_000)


def _any_boots_clock(original: Any) -> Any:
    def utc_ms(self: Any, boot: int, uptime_ms: int) -> Any:
        return original(self, self._boots[-1], uptime_ms) if self._boots else None

    return utc_ms


def _forgets_over_a_gap(original: Any) -> Any:
    return lambda self, first, last, lost: super(ahead.AheadWindow, self)._passed(first, last, lost)


def _newest_first(original: Any) -> Any:
    def disconnected(self: Any) -> None:
        original(self)
        self._resend = max(0, self.window.count - 1)

    return disconnected


MUTANTS: dict[str, Patch] = {
    "the CRC has no seed": (frame, "seed", _constant_crc_seed),
    "a sector without a valid header is not erased again": (log.Ring, "_erase", _skip_erase_without_header),
    "the last number before a cut is given again": (recovery, "recover", _last_number_again),
    "an append returns before its record is on flash": (log.Ring, "__init__", _append_returns_early),
    "forgotten when sent, not when acknowledged": (lane.Lane, "_send_new", _forget_when_sent),
    "a closed connection counts as an acknowledgement": (lane.Lane, "disconnected", _close_confirms),
    "lost numbers are not reported": (batch.Batch, "_add_lost", _lost_kept_secret),
    "lost numbers are miscounted by one": (batch.Batch, "_add_lost", _lost_miscounted),
    "a repeat has a message id of its own": (batch.Batch, "message_id", _new_message_id_each_time),
    "what has arrived ahead lets what lies before it be forgotten": (
        ahead.AheadWindow,
        "_passed",
        _forgets_over_a_gap,
    ),
    "what waits is sent newest first": (lane.Lane, "disconnected", _newest_first),
    "the number of a torn record is given again": (recovery, "_records_torn", _no_number_retired),
    "a batch that is still to leave again counts as overdue": (lane.Lane, "overdue", _waiting_counts_as_sent),
    "the journal's BEGUN is not written": (journal.Journal, "begun", _begun_only_remembered),
    "a command is done before its answer is stored": (executor.Commands, "_finish", _done_before_answer),
    "a command is acknowledged on arrival": (executor.Commands, "_enqueue", _acknowledged_on_arrival),
    "a pulse ends 10 s late": (Outputs, "step", _pulse_ends_late),
    "a record has the clock of another boot": (Timeline, "utc_ms", _any_boots_clock),
}


@contextmanager
def applied(name: str) -> Iterator[None]:
    """Break the core as the mutant `name` does, for as long as the context lasts."""
    place, attribute, mutate = MUTANTS[name]
    original = getattr(place, attribute)
    setattr(place, attribute, mutate(original))
    try:
        yield
    finally:
        setattr(place, attribute, original)


def caught(name: str) -> Outcome | None:
    """Return the first life in which the judges caught the mutant, or None if it got away."""
    likely = LIKELY_SEEDS.get(name)
    for seed in SEEDS if likely is None else (likely, *SEEDS):
        with applied(name):
            outcome = live(seed, YEARS)
        # A life that fails without the mutant as well, up to then, shows nothing.
        if outcome.failure is not None and live(seed, outcome.device_ms / YEAR_MS).failure is None:
            return outcome
    return None
