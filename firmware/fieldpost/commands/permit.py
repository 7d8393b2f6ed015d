"""Is this command well formed, and allowed for its pin? Asked when one arrives; needed for nothing else."""

from fieldpost.commands.word import ONCE
from fieldpost.errors import Mismatch
from fieldpost.shapes import Integer, mismatch


def permitted(vocabulary, name, arguments, command_id):
    """Return (word, checked arguments) of a command that may act; raise Mismatch with the reason if not."""
    word = vocabulary.find(name)
    arguments = word.shape.check(arguments, "")
    pin = arguments.get("pin")
    if pin is not None:
        settings = vocabulary.pins.get(pin)
        if settings is None:
            raise mismatch("pin", pin, "one of " + ", ".join(sorted(vocabulary.pins)))
        if word.name not in settings["commands"]:
            raise Mismatch("%s is not allowed for pin %s" % (word.name, pin))
        for argument, setting in word.pin_maxima:
            shape = Integer(1, settings[setting], "for pin " + pin)
            value = arguments[argument]
            for index in range(len(value)) if isinstance(value, list) else ():
                shape.check(value[index], "%s[%d]" % (argument, index))
            if not isinstance(value, list):
                shape.check(value, argument)
    if word.repetition == ONCE and not command_id:
        raise Mismatch("%s must not be repeated, so it needs a message id" % word.name)
    return word, arguments
