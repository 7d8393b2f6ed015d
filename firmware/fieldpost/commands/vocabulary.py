"""All that the cloud may ask for, declared: a table to read, to test and to add to.

    gpio.set    pin, value      LEVEL   the pin has that level
    gpio.get    pin             LEVEL   the level that the pin reports
    gpio.pulse  pin, width_ms   ONCE    the level is turned over for that time, and back
    ping                        LEVEL   an answer comes

Pins are known by their configured names alone; what each may be asked stands in the configuration.
"""

from fieldpost.commands.journal import STATUS_DONE, STATUS_INTERRUPTED
from fieldpost.commands.word import LEVEL, ONCE, Word
from fieldpost.limits import PIN_NAME_CHARS_MAX, PULSE_MS_MAX
from fieldpost.shapes import Choice, Integer, Mismatch, name


def _set(outputs, arguments, now_ms):
    outputs.set(arguments["pin"], arguments["value"])
    return (("pin", arguments["pin"]), ("value", arguments["value"]))


def _get(outputs, arguments, now_ms):
    return (("pin", arguments["pin"]), ("value", outputs.get(arguments["pin"])))


class _Pulse:
    """A pulse under way; the outputs end it, this only notices."""

    def __init__(self, outputs, arguments, now_ms):
        self._outputs = outputs
        self._pin = arguments["pin"]
        self._width_ms = arguments["width_ms"]
        outputs.pulse(self._pin, self._width_ms, now_ms)

    def step(self, now_ms):
        if self._outputs.is_pulsing(self._pin):
            return None
        if self._outputs.was_cut_short(self._pin):
            return STATUS_INTERRUPTED, (("reason", "the outputs were made safe before the pulse was over"),)
        return STATUS_DONE, (("pin", self._pin), ("width_ms", self._width_ms))


def _ping(outputs, arguments, now_ms):
    return ()


_PIN = ("pin", name(PIN_NAME_CHARS_MAX))
_WIDTH = ("width_ms", Integer(1, PULSE_MS_MAX, "milliseconds"))

WORDS = (
    Word("gpio.set", LEVEL, (_PIN, ("value", Choice(0, 1))), _set),
    Word("gpio.get", LEVEL, (_PIN,), _get),
    Word("gpio.pulse", ONCE, (_PIN, _WIDTH), _Pulse, (("width_ms", "pulse_max_ms"),)),
    Word("ping", LEVEL, (), _ping),
)


class Vocabulary:
    """The words of one device. pins: the configuration's `pins`, which say what each pin may be asked."""

    def __init__(self, pins, words=WORDS):
        self.pins = pins
        self._words = {word.name: word for word in words}

    def find(self, name):
        """Return the Word called `name`; raise Mismatch if there is none."""
        word = self._words.get(name)
        if word is None:
            raise Mismatch("no such command: expected one of " + ", ".join(sorted(self._words)))
        return word
