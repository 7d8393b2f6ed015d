# Runs a program whose modules lie in read-only memory, as a Pico W has them in flash, on MicroPython for Linux.
#
#     micropython in_rom.py IMAGE PROGRAM ARGUMENT...
#
# IMAGE: a ROM file system (MicroPython 1.25, extmod/vfs_rom.c), which is mapped into memory and takes no heap.

import sys

import ffi
import uctypes
import vfs

with open(sys.argv[1], "rb") as image:
    size = image.seek(0, 2)
    mmap = ffi.open("libc.so.6").func("L", "mmap", "LLiiil")
    address = mmap(0, size, 1, 2, image.fileno(), 0)  # PROT_READ, MAP_PRIVATE
if address & 0xFFF:
    raise OSError("cannot map %s" % sys.argv[1])
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")
sys.path[:] = ["/rom/programs", "/rom", "/rom/lib", ".frozen"]
del sys.argv[:2]
__import__(sys.argv[0])
