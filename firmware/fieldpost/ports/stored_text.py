"""A small file that is replaced as a whole: after a power cut it holds the old text or the new one."""

import os


class StoredText:
    """The file at `path`. Its successor is written through beside it, then takes its name."""

    def __init__(self, path):
        self._path = path

    def read(self):
        """Return the text, or None if there is none that can be read."""
        try:
            with open(self._path) as file:
                return file.read()
        except (OSError, ValueError):
            return None

    def write(self, text):
        """Replace the text, durably. Raises OSError."""
        beside = self._path + ".new"
        with open(beside, "w") as file:
            file.write(text)
            file.flush()
            if hasattr(os, "fsync"):
                os.fsync(file.fileno())
        os.rename(beside, self._path)
