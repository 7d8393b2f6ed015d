"""What is run on the board itself while it is being flashed, as MicroPython source.

Neither script holds anything secret: both appear in the host's process list.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

OLDEST_VERSION = (1, 24)
FITS = "fieldpost: fits"
ABOUT = "fieldpost: about "

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


def remove_stale(files: Iterable[PurePosixPath]) -> str:
    """Return the script that removes what an older version left and that would still be imported.

    files: everything that will be on the board, by its path from the root. Goes: what else lies in
    /fieldpost, and beside each file of ours the .py of the same name, which would be imported instead of it.
    """
    names = sorted(f"/{path}" for path in files)
    return f"""\
import os
keep = {names!r}
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
except OSError:
    pass
for path in keep:
    if path.endswith(".mpy"):
        try:
            os.remove(path[:-3] + "py")
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
except ImportError:
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
