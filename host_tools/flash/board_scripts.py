"""What is run on the board itself while it is being flashed, as MicroPython source.

Neither script holds anything secret: both appear in the host's process list.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

OLDEST_VERSION = (1, 24)
FITS = "fieldpost: fits"

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
