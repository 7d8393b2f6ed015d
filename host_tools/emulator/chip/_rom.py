# ROMFS as the esp32 port has it when it is built in: the partition `romfs` is mapped into memory, and mounted if what
# lies there is one (MicroPython, ports/esp32/esp32_partition.c, extmod/vfs.c).

import sys

import _flash
import vfs
from esp32 import Partition
from micropython import const

_EINVAL = const(22)

_found = Partition.find(Partition.TYPE_DATA, label="romfs")


# It is a block device, and what it holds can be had as a buffer, where it lies.
class _Segment(memoryview):
    def readblocks(self, block, buffer, offset=0):
        _found[0].readblocks(block, buffer, offset)

    def writeblocks(self, block, buffer, offset=None):
        _found[0].writeblocks(block, buffer, offset)

    def ioctl(self, operation, argument):
        return _found[0].ioctl(operation, argument)


def rom_ioctl(operation, *arguments):
    if operation == 1:
        return len(_found)
    if operation == 2 and _found:
        _, _, offset, size, _, _ = _found[0].info()
        return _Segment(_flash.mapped(offset, size))
    return -_EINVAL


def _mount():
    try:
        vfs.mount(vfs.VfsRom(rom_ioctl(2, 0)), "/rom")
    except (OSError, TypeError):
        return
    sys.path += ["/rom", "/rom/lib"]


_mount()
_names = {name: staticmethod(getattr(vfs, name)) for name in dir(vfs) if name[0] != "_"}
_names["rom_ioctl"] = staticmethod(rom_ioctl)
sys.modules["vfs"] = type("vfs", (), _names)
