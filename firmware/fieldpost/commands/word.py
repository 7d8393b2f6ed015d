"""One word of the vocabulary: what it is called, what it takes, whether it may be repeated, what it does.

    LEVEL   names a state: doing it again changes nothing, so it is repeated until it is known to be done
    ONCE    is an event: doing it again is wrong, so it is never repeated once it was begun

`act(outputs, arguments, now_ms)` does it and returns the result as pairs for `answer.encode`, or, for what
takes time, an object whose `step(now_ms)` returns None while it goes on and (status, result) at its end.
It raises OSError if the hardware failed.
"""

from fieldpost.shapes import Fields

LEVEL = "level"
ONCE = "once"


class Word:
    """arguments: pairs of name and shape. pin_maxima: pairs of argument and the pin setting above it."""

    def __init__(self, name, repetition, arguments, act, pin_maxima=()):
        assert repetition in (LEVEL, ONCE)
        self.name = name
        self.repetition = repetition
        self.shape = Fields(*arguments)
        self.act = act
        self.pin_maxima = pin_maxima
