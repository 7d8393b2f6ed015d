"""What is left of a file system (statvfs(3)): for whoever is not root."""

import os

from fieldpost.errors import SensorError


def make(port, settings):
    """Return the sensor of the file system that holds `path`."""
    return Disk(settings["path"])


class Disk:
    """Free and whole size in KiB."""

    schema = "disk_free,u5,0,KiB;disk_size,u5,0,KiB"

    def __init__(self, path):
        self._path = path

    def read(self):
        try:
            found = os.statvfs(self._path)
        except OSError as error:
            raise SensorError("%s: %s" % (self._path, error.strerror)) from error
        return found.f_bavail * found.f_frsize // 1024, found.f_blocks * found.f_frsize // 1024
