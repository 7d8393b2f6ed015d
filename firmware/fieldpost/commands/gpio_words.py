"""Commands on pins.

    gpio.set      pin, value             LEVEL   the pin has that level
    gpio.get      pin                    LEVEL   the level that the pin reports
    gpio.toggle   pin                    ONCE    the level is turned over, and stays
    gpio.pulse    pin, width_ms          ONCE    the level is turned over for that time, and back
    gpio.pattern  pin, durations_ms      ONCE    turned over for the first duration, back for the second, and so on

Pins are known by their configured names alone; what each may be asked stands in the configuration.
"""

from fieldpost.commands.journal import STATUS_DONE, STATUS_INTERRUPTED
from fieldpost.commands.word import LEVEL, ONCE, Word
from fieldpost.limits import PATTERN_DURATIONS_MAX, PIN_NAME_CHARS_MAX, PULSE_MS_MAX
from fieldpost.shapes import Choice, Integer, ListOf, name


def _set(context, arguments, now_ms):
    context.outputs.set(arguments["pin"], arguments["value"], now_ms)
    return (("pin", arguments["pin"]), ("value", arguments["value"]))


def _check_set(context, arguments, now_ms):
    context.outputs.check(arguments["pin"], arguments["value"], now_ms)


def _get(context, arguments, now_ms):
    return (("pin", arguments["pin"]), ("value", context.outputs.get(arguments["pin"])))


def _toggle(context, arguments, now_ms):
    pin = arguments["pin"]
    level = 1 - context.outputs.rest_level(pin)
    context.outputs.set(pin, level, now_ms)
    return (("pin", pin), ("value", level))


def _check_toggle(context, arguments, now_ms):
    pin = arguments["pin"]
    context.outputs.check(pin, 1 - context.outputs.rest_level(pin), now_ms)


def _check_pulse(context, arguments, now_ms):
    context.outputs.check_pattern(arguments["pin"], (arguments["width_ms"],), now_ms)


def _check_pattern(context, arguments, now_ms):
    context.outputs.check_pattern(arguments["pin"], arguments["durations_ms"], now_ms)


class _Pattern:
    """A pattern under way; the outputs end it, this only notices."""

    def __init__(self, outputs, pin, durations_ms, result, now_ms):
        self._outputs = outputs
        self._pin = pin
        self._result = result
        outputs.pulse(pin, durations_ms, now_ms)

    def step(self, now_ms):
        if self._outputs.is_pulsing(self._pin):
            return None
        if self._outputs.was_cut_short(self._pin):
            return STATUS_INTERRUPTED, (("reason", "the outputs were made safe before it was over"),)
        return STATUS_DONE, self._result


def _pulse(context, arguments, now_ms):
    pin, width_ms = arguments["pin"], arguments["width_ms"]
    return _Pattern(context.outputs, pin, (width_ms,), (("pin", pin), ("width_ms", width_ms)), now_ms)


def _pattern(context, arguments, now_ms):
    pin, durations_ms = arguments["pin"], arguments["durations_ms"]
    result = (("pin", pin), ("turns", len(durations_ms)))
    return _Pattern(context.outputs, pin, durations_ms, result, now_ms)


def _pin():
    return (("pin", name(PIN_NAME_CHARS_MAX)),)


def _pin_and_value():
    return _pin() + (("value", Choice(0, 1)),)


def _width():
    return Integer(1, PULSE_MS_MAX, "milliseconds")


_MAXIMUM = "pulse_max_ms"

WORDS = (
    Word("gpio.set", LEVEL, _pin_and_value, _set, check=_check_set),
    Word("gpio.get", LEVEL, _pin, _get),
    Word("gpio.toggle", ONCE, _pin, _toggle, check=_check_toggle),
    Word(
        "gpio.pulse",
        ONCE,
        lambda: _pin() + (("width_ms", _width()),),
        _pulse,
        (("width_ms", _MAXIMUM),),
        _check_pulse,
    ),
    Word(
        "gpio.pattern",
        ONCE,
        lambda: _pin() + (("durations_ms", ListOf(_width(), PATTERN_DURATIONS_MAX, 1)),),
        _pattern,
        (("durations_ms", _MAXIMUM),),
        _check_pattern,
    ),
)
