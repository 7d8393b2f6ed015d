"""The settings of a device while nobody changes them: a few values, and the way to what knows the rules.

The rules (see settings), and the shapes that they check with, are loaded when settings are asked about, and stay while
some are on trial.
"""

from fieldpost import compat
from fieldpost.commands.vocabulary import put_shapes_away
from fieldpost.modules import unload


class KeptSettings:
    """make(): loads the rules and returns Settings. is_stored: whether some were changed ever, and are applied now."""

    def __init__(self, make, is_stored):
        self._make = make
        self._settings = None
        self._memory = None
        if is_stored:
            self.open().begin()

    @property
    def revision(self):
        """Grows with each change of what `Settings.status` tells."""
        if self._settings is not None:
            return self._settings.revision
        return 0 if self._memory is None else self._memory[0]

    def open(self):
        """Return the Settings, for now: they are put away again."""
        if self._settings is None:
            self._settings = self._make()
            if self._memory is not None:
                self._settings.resume(self._memory)
        return self._settings

    def step(self, now_ms):
        """Let a trial go on, and put away what nobody needs."""
        settings = self._settings
        if settings is not None:
            settings.step(now_ms)
            if not settings.is_on_trial:
                self._memory = settings.memory()
                self._settings = None
                if compat.is_micropython:
                    unload("fieldpost.commands.settings")
                    unload("fieldpost.late_assembly")
                    put_shapes_away()
