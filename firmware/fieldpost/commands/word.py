"""One word of the vocabulary: what it is called, what it takes, whether it may be repeated, what it does.

    LEVEL   names a state: doing it again changes nothing, so it is repeated until it is known to be done
    ONCE    is an event: doing it again is wrong, so it is never repeated once it was begun

`act(context, arguments, now_ms)` does it and returns the result as pairs for `answer.encode`, or, for what
takes time, an object whose `step(now_ms)` returns None while it goes on and (status, result) at its end.
It raises OSError if the hardware failed. `check(context, arguments, now_ms)`, if there is one, raises Mismatch
with the reason why it may not act now, and touches nothing.

Words of one's own stand in a file `user_commands.py` on the board, or beside the configuration on a Raspberry Pi:

    from fieldpost.commands.word import command
    from fieldpost.shapes import Integer

    @command("valve.open", once=True, seconds=Integer(1, 600, "seconds"))
    def open_valve(context, arguments, now_ms):
        context.outputs.pulse("valve", (arguments["seconds"] * 1000,), now_ms)
        return (("seconds", arguments["seconds"]),)
"""

LEVEL = "level"
ONCE = "once"

user_words = []  # what `command` declared, in order


class Word:
    """arguments(): pairs of name and shape, made when they are needed: kept, they would only fill the heap.

    pin_maxima: pairs of argument and the pin setting above it.
    """

    def __init__(self, name, repetition, arguments, act, pin_maxima=(), check=None):
        assert repetition in (LEVEL, ONCE)
        self.name = name
        self.repetition = repetition
        self._arguments = arguments
        self.act = act
        self.pin_maxima = pin_maxima
        self.check = check

    @property
    def shape(self):
        """The shape of the arguments."""
        from fieldpost.shapes import Fields  # a board holds shapes only while it checks something

        return Fields(*self._arguments())


def command(name, once=False, check=None, **shapes):
    """Declare the decorated function as the act of a command called `name`, with a shape for each argument."""

    def declare(act):
        user_words.append(Word(name, ONCE if once else LEVEL, lambda: sorted(shapes.items()), act, check=check))
        return act

    return declare
