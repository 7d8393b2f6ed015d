"""What is run on the board itself while it is being flashed, as MicroPython source.

Neither script holds anything secret: both appear in the host's process list.
"""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath

OLDEST_VERSION = (1, 24)
FITS = "fieldpost: fits"
ABOUT = "fieldpost: about "
IN_ROMFS = "fieldpost: in romfs "

# An interpreter on a PC calls itself linux; that is an emulated board, of whatever port.
_EMULATED = "linux"


def prepare(port: str) -> str:
    """Return the script that stops the agent for good, if the board can be flashed for `port` at all.

    Prints FITS, or else one sentence. Without main.py the board stays idle after the reset that follows,
    and so does its watchdog, which Ctrl-C would not have stopped.
    """
    oldest = "{}.{}".format(*OLDEST_VERSION)
    return f"""\
import os, sys
version = sys.implementation.version[:2]
if sys.platform not in ({port!r}, {_EMULATED!r}):
    print("the board is of port %s, not {port}: choose the kind of board that fits" % sys.platform)
elif version < {OLDEST_VERSION}:
    print("the board runs MicroPython %d.%d: put {oldest} or newer on it" % version)
else:
    try:
        os.remove("/main.py")
    except OSError:
        pass
    print({FITS!r})
"""


def measure_romfs(length: int) -> str:
    """Return the script that prints IN_ROMFS, the bytes of partition romfs, and the SHA-256 of its first `length`.

    Prints nothing where there is none, or the firmware does not mount it. The device is a buffer, where it lies
    (MicroPython, "vfs", `rom_ioctl`).
    """
    return f"""\
try:
    import binascii, hashlib, vfs
    device = vfs.rom_ioctl(2, 0)
    size = device.ioctl(4, 0) * device.ioctl(5, 0)
    held = hashlib.sha256(memoryview(device)[:{length}]).digest()
    print({IN_ROMFS!r} + str(size), binascii.hexlify(held).decode())
except (AttributeError, ImportError, OSError, TypeError):
    pass
"""


def check_romfs(rom: bytes) -> str:
    """Return the boot.py of a board whose modules lie in ROMFS: what runs in place must be whole.

    Where boot.py ends with an exception, main.py is not run (MicroPython, ports/esp32/main.c).
    """
    return f"""\
# Made by `fieldpost flash`. MicroPython looks at the head of what is in ROMFS alone.
def check():
    import hashlib, vfs
    try:
        rom = memoryview(vfs.rom_ioctl(2, 0))[:{len(rom)}]
        if hashlib.sha256(rom).digest() == {hashlib.sha256(rom).digest()!r}:
            return
    except (AttributeError, OSError, TypeError):
        pass
    raise ImportError("the agent is not whole in ROMFS: put it on this board again with `fieldpost flash`")
check()
del check
"""


def remove_stale(files: Iterable[PurePosixPath], elsewhere: Iterable[PurePosixPath] = ()) -> str:
    """Return the script that removes what an older version left and that would still be imported.

    files: everything that will be on the board, by its path from the root. Goes: what else lies in
    /fieldpost, and beside each file of ours the .py of the same name, which would be imported instead of it.
    elsewhere: files that must not be there, nor such a .py, since the file system comes before ROMFS.
    """
    names = sorted(f"/{path}" for path in files)
    gone = sorted(f"/{path}" for path in elsewhere)
    return f"""\
import os
keep = {names!r}
gone = {gone!r}
def clean(folder):
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] == 0x4000:
            clean(path)
            if not list(os.ilistdir(path)):
                os.rmdir(path)
        elif path not in keep:
            os.remove(path)
try:
    clean("/fieldpost")
    os.rmdir("/fieldpost")
except OSError:
    pass
for path in gone + [path[:-3] + "py" for path in keep + gone if path.endswith(".mpy")]:
    try:
        os.remove(path)
    except OSError:
        pass
for path in gone:
    try:
        while "/" in path[1:]:
            path = path.rsplit("/", 1)[0]
            os.rmdir(path)
    except OSError:
        pass
"""


# Prints ABOUT and a JSON object: what runs on the board, and whom it takes itself for. Nothing of identity.json.
ask_about = f"""\
import json, os, sys
found = {{"port": sys.platform, "version": list(sys.implementation.version[:3])}}
try:
    with open("/config.json") as file:
        config = json.load(file)
    found["device"], found["board"] = config["device"], config["board"]
    found["hub"] = [config["hub"]["host"], config["hub"].get("port", 8883)]
    found["networks"] = [network["ssid"] for network in config.get("wifi", [])]
    os.stat("/identity.json")
    found["has_identity"] = True
except (OSError, ValueError, KeyError):
    pass
try:
    import esp32
    found["partitions"] = [row.info()[2:5] for row in esp32.Partition.find(esp32.Partition.TYPE_DATA)]
    import vfs
    found["can_romfs"] = hasattr(vfs, "rom_ioctl")
except ImportError:
    pass
for folder in ("", "/rom"):
    try:
        os.stat(folder + "/fieldpost")
        found["code"] = folder or "/"
        break
    except OSError:
        pass
print({ABOUT!r} + json.dumps(found))
"""

# Erases what the device has stored, identity and readings included; MicroPython makes a file system at the reset.
make_empty = """\
import vfs
try:
    import rp2
    devices = [rp2.Flash()]
except ImportError:
    import esp32
    devices = []
    for label in ("queue", "vfs"):
        devices += esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)
vfs.umount("/")
for device in devices:
    for block in range(device.ioctl(4, 0)):
        device.ioctl(6, block)
"""
