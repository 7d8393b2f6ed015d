"""The scripts that run on a board while it is flashed, run on MicroPython over a file system in memory."""

import json
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from host_tools.flash import board_scripts

# The interpreter's own files are unmounted first: the scripts name paths from the root.
_WORLD = """
import json, os, sys, vfs
class Ram:
    def __init__(self):
        self.data = bytearray(64 * 512)
    def readblocks(self, n, buf, off=0):
        buf[:] = self.data[n * 512 + off : n * 512 + off + len(buf)]
    def writeblocks(self, n, buf, off=0):
        self.data[n * 512 + off : n * 512 + off + len(buf)] = buf
    def ioctl(self, op, arg):
        return {4: 64, 5: 512}.get(op, 0)
ram = Ram()
vfs.VfsLfs2.mkfs(ram)
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(ram), "/")
for path in FILES:
    folder = ""
    for part in path.split("/")[1:-1]:
        folder += "/" + part
        try:
            os.mkdir(folder)
        except OSError:
            pass
    open(path, "w").close()
exec(SCRIPT)
def tree(folder):
    found = []
    for entry in os.ilistdir(folder or "/"):
        path = folder + "/" + entry[0]
        found += tree(path) + [path + "/"] if entry[1] == 0x4000 else [path]
    return found
print(json.dumps(sorted(tree(""))))
"""


def _run(micropython: Path, script: str, files: list[str]) -> tuple[list[str], list[str]]:
    """Return the lines that the script printed, and what is on the board afterwards."""
    program = f"FILES = {files!r}\nSCRIPT = {script!r}\n{_WORLD}"
    done = subprocess.run([micropython, "-c", program], capture_output=True, text=True, check=True)
    *said, left = done.stdout.splitlines()
    return said, json.loads(left)


def test_a_board_that_fits_loses_its_main_program(micropython: Path) -> None:
    said, left = _run(micropython, board_scripts.prepare("esp32"), ["/main.py", "/boot.py"])
    assert said == [board_scripts.FITS]
    assert left == ["/boot.py"]


def test_a_board_without_a_main_program_fits_too(micropython: Path) -> None:
    assert _run(micropython, board_scripts.prepare("esp32"), []) == ([board_scripts.FITS], [])


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("_EMULATED", "none", "the board is of port linux, not rp2: choose the kind of board that fits"),
        ("OLDEST_VERSION", (99, 7), "put 99.7 or newer on it"),
    ],
)
def test_a_board_that_does_not_fit_is_left_alone(
    micropython: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, answer: str
) -> None:
    monkeypatch.setattr(board_scripts, name, value)
    said, left = _run(micropython, board_scripts.prepare("rp2"), ["/main.py"])
    assert len(said) == 1 and said[0].endswith(answer)
    assert left == ["/main.py"]


def test_only_what_would_be_imported_by_mistake_is_removed(micropython: Path) -> None:
    installed = [PurePosixPath(name) for name in ("main.py", "fieldpost/ring/log.mpy", "lib/umqtt/simple.mpy")]
    before = [
        "/fieldpost/ring/log.mpy",
        "/fieldpost/ring/log.py",
        "/fieldpost/retired/old.mpy",
        "/lib/umqtt/simple.py",
        "/lib/umqtt/robust.py",
        "/config.json",
        "/notes.txt",
    ]
    said, left = _run(micropython, board_scripts.remove_stale(installed), before)
    assert said == []
    assert left == [
        "/config.json",
        "/fieldpost/",
        "/fieldpost/ring/",
        "/fieldpost/ring/log.mpy",
        "/lib/",
        "/lib/umqtt/",
        "/lib/umqtt/robust.py",
        "/notes.txt",
    ]


def test_an_empty_board_has_nothing_stale(micropython: Path) -> None:
    assert _run(micropython, board_scripts.remove_stale([PurePosixPath("main.py")]), []) == ([], [])
