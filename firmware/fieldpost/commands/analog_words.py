"""Commands on pins between 0 and 1.

    pwm.set    pin, duty_permille, frequency_hz    LEVEL   the pin is high for that share of each period
    adc.read   pin                                 LEVEL   the voltage on the pin

Duty 0 is the safe level of every PWM pin; the longest time on, the rest and what excludes it hold as for outputs.
"""

from fieldpost.commands.word import LEVEL, Word
from fieldpost.limits import PIN_NAME_CHARS_MAX, PWM_HZ_MAX
from fieldpost.shapes import Integer, Optional, name


def _level(arguments):
    duty_permille = arguments["duty_permille"]
    return (duty_permille, arguments["frequency_hz"]) if duty_permille else 0


def _set(context, arguments, now_ms):
    context.outputs.set(arguments["pin"], _level(arguments), now_ms)
    return tuple([(key, arguments[key]) for key in ("pin", "duty_permille", "frequency_hz")])


def _check_set(context, arguments, now_ms):
    context.outputs.check(arguments["pin"], _level(arguments), now_ms)


def _read(context, arguments, now_ms):
    raw, microvolts = context.outputs.measure(arguments["pin"])
    return (("pin", arguments["pin"]), ("raw", raw), ("microvolts", microvolts))


def _pin():
    return (("pin", name(PIN_NAME_CHARS_MAX)),)


WORDS = (
    Word(
        "pwm.set",
        LEVEL,
        lambda: (
            _pin()
            + (
                ("duty_permille", Integer(0, 1000, "of the period")),
                ("frequency_hz", Optional(Integer(10, PWM_HZ_MAX, "hertz"), 1000)),
            )
        ),
        _set,
        check=_check_set,
    ),
    Word("adc.read", LEVEL, _pin, _read),
)
