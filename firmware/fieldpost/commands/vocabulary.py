"""All that the cloud may ask of one device: words of ours (gpio, analog, agent) and of the user (word.command)."""

from fieldpost.commands import word
from fieldpost.commands.agent_words import AGENT_WORDS
from fieldpost.commands.gpio_words import GPIO_WORDS
from fieldpost.shapes import Mismatch

_USER_MODULE = "user_commands"


class Vocabulary:
    """The words of one device. pins: the configuration's `pins`, which say what each pin may be asked.

    words: the user's.
    """

    def __init__(self, pins, words=()):
        self.pins = pins
        self._words = {}
        groups = [GPIO_WORDS, AGENT_WORDS, words]
        if [pin for pin in pins.values() if pin.get("direction") in ("pwm", "adc")]:
            from fieldpost.commands.analog_words import ANALOG_WORDS  # memory that few boards need

            groups.append(ANALOG_WORDS)
        for group in groups:
            for one in group:
                self._words[one.name] = one

    def find(self, name):
        """Return the Word called `name`; raise Mismatch if there is none."""
        found = self._words.get(name)
        if found is None:
            raise Mismatch("no such command: expected one of " + ", ".join(sorted(self._words)))
        return found


def user_words():
    """Return the words that the user's file declares, none without such a file. Whatever is wrong in it is raised."""
    try:
        __import__(_USER_MODULE)
    except ImportError as error:
        if _USER_MODULE not in str(error):
            raise
    return word.user_words
