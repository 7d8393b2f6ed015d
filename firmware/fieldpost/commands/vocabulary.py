"""All that the cloud may ask of one device: words of ours (gpio, analog, agent) and of the user (word.command).

Commands are rare, and what they are made of takes a tenth of a small board's memory. So the modules with our words, and
those that read commands, are loaded when a command arrives, and put away when none is left.
"""

import sys

from fieldpost import compat
from fieldpost.commands import word
from fieldpost.errors import Mismatch
from fieldpost.modules import unload

_USER_MODULE = "user_commands"
_PACKAGE = "fieldpost.commands"
_GPIO = _PACKAGE + ".gpio_words"
_AGENT = _PACKAGE + ".agent_words"
_ANALOG = _PACKAGE + ".analog_words"
# By the first part of a word's name; everything else is a word of the agent.
_MODULES = {"gpio": _GPIO, "pwm": _ANALOG, "adc": _ANALOG}
_CHECK_COMMANDS = (_GPIO, _AGENT, _ANALOG, _PACKAGE + ".permit", _PACKAGE + ".settings")
_LOADED_FOR_COMMANDS = _CHECK_COMMANDS + (
    "fieldpost.commands.answer",
    "fieldpost.hubs.azure_message",
    "fieldpost.hubs.azure_calls",
    "fieldpost.hubs.property_bag",
    "fieldpost.proof",
)
_SHAPES = "fieldpost.shapes"
# A second copy would not know the shapes of the first.
_HOLD_SHAPES = _CHECK_COMMANDS + (_USER_MODULE,)


class Vocabulary:
    """The words of one device. pins: the configuration's `pins`, which say what each pin may be asked.

    words: the user's. is_open: whether something may have been loaded for commands.
    """

    def __init__(self, pins, words=()):
        self.pins = pins
        self._words = words
        self._modules = (_GPIO, _AGENT)
        for pin in pins.values():
            if pin.get("direction") in ("pwm", "adc"):
                self._modules = (_GPIO, _AGENT, _ANALOG)
        self.is_open = True  # the configuration was checked with the same shapes

    def find(self, name):
        """Return the Word called `name`; raise Mismatch if there is none."""
        names = []
        groups = [self._words]
        module = _MODULES.get(name.split(".")[0], _AGENT)
        if module in self._modules:
            groups.append(self._load(module))
        for words in groups:
            for one in words:
                if one.name == name:
                    return one
                names.append(one.name)
        for other in self._modules:
            if other != module:
                for one in self._load(other):
                    names.append(one.name)
        raise Mismatch("no such command: expected one of " + ", ".join(sorted(names)))

    def permitted(self, name, arguments, command_id):
        """Return (word, checked arguments) of a command that may act; raise Mismatch with the reason if not."""
        self.is_open = True
        from fieldpost.commands.permit import permitted

        return permitted(self, name, arguments, command_id)

    def encoded(self, *answer):
        """Return the answer to a command as bytes. answer: arguments of `commands.answer.encode`."""
        self.is_open = True
        from fieldpost.commands.answer import encode

        return encode(*answer)

    def put_away(self):
        """Give back the memory of what was loaded for commands; on a machine that has enough, it stays."""
        if self.is_open and compat.is_micropython:
            for name in _LOADED_FOR_COMMANDS:
                unload(name)
            put_shapes_away()
        self.is_open = False

    def _load(self, module):
        self.is_open = True
        __import__(module)
        return sys.modules[module].WORDS


def put_shapes_away():
    """Give back the memory of the shapes, unless somebody checks with them."""
    for name in _HOLD_SHAPES:
        if name in sys.modules:
            return
    unload(_SHAPES)


def user_words():
    """Return the words that the user's file declares, none without such a file. Whatever is wrong in it is raised."""
    try:
        __import__(_USER_MODULE)
    except ImportError as error:
        if _USER_MODULE not in str(error):
            raise
    return word.user_words
