"""The table by which boards find functions in flash tells the truth about the files beside it."""

import struct
from itertools import pairwise
from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.toolchain import code_table, mpy
from host_tools.toolchain.firmware import compile_module

MODULE = """
def first(a, b=3):
    return [x for x in (lambda: a)()] + ["first text", b]

if True:
    def append(x):
        return "second text"

class Thing:
    def __init__(self):
        self.x = "third text"

    @property
    def size(self):
        return "fourth text"

    @size.setter
    def size(self, value):
        self.x = value

    @staticmethod
    def make():
        def inner():
            return "fifth text"
        return inner

    class Inner:
        def hidden(self):
            return 5

    last = lambda self: 6

def close():
    return "sixth text"
"""


def rows(table: bytes) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return (tag, name, numbers) of each record."""
    assert table[:4] == b"FPC1"
    found = []
    at = 5
    while at < len(table):
        tag, length = chr(table[at]), table[at + 1]
        name = table[at + 2 : at + 2 + length].decode()
        at += 2 + length
        numbers: tuple[int, ...] = ()
        if tag == "M":
            at += 1 + table[at]
            numbers = struct.unpack_from("<BHH", table, at)
            at += 5
        elif tag == "F":
            numbers = struct.unpack_from("<BBHHI", table, at)
            at += 10
        found.append((tag, name, numbers))
    return found


def compiled(folder: Path, text: str, name: str = "lib/thing.mpy") -> bytes:
    compile_module(text, folder / name, Path(name), folder / "sources")
    return (folder / name).read_bytes()


def test_every_function_is_found_with_its_bytes(tmp_path: Path) -> None:
    data = compiled(tmp_path, MODULE)
    table = rows(code_table.make(tmp_path, {"lib/thing.mpy": MODULE}, lasting=["lib/thing.mpy"]))
    assert table[0][:2] == ("M", "thing") and table[0][2][0] == 1
    names = [(tag, name, numbers[:1]) for tag, name, numbers in table[1:]]
    assert names == [
        ("F", "first", (0,)),
        ("F", "append", (0,)),
        ("C", "Thing", ()),
        ("F", "__init__", (0,)),
        ("F", "size", (1,)),
        ("F", "size", (2,)),
        ("F", "make", (1,)),
        ("C", "", ()),
        ("F", "close", (0,)),
    ]
    spans = [numbers for tag, _, numbers in table if tag == "F"]
    for _, block, place, length, offset in spans:
        assert block == 0 and place + length <= 4096 and offset + length <= len(data)
    # Pieces of different functions neither overlap in the file nor in the block.
    for starts in ([(offset, length) for *_, length, offset in spans], [(s[2], s[3]) for s in spans]):
        ordered = sorted(starts)
        assert all(a + size <= b for (a, size), (b, _) in pairwise(ordered))


def test_no_function_lies_across_two_blocks(tmp_path: Path) -> None:
    text = "".join(f"def f{number}(a):\n    return a({'a, ' * number})\n" for number in range(1, 120))
    compiled(tmp_path, text)
    made = code_table.make(tmp_path, {"lib/thing.mpy": text})
    spans = [numbers for tag, _, numbers in rows(made) if tag == "F"]
    assert len(spans) == 119 and made[4] == spans[-1][1] + 1 > 2
    assert all(place + length <= 4096 for _, _, place, length, _ in spans)


def test_what_does_not_fit_together_is_told(tmp_path: Path) -> None:
    data = compiled(tmp_path, MODULE)
    with pytest.raises(UserError, match="the bytecode has no 'other' where its text has it"):
        code_table.make(tmp_path, {"lib/thing.mpy": MODULE + "\ndef other(): pass\n"})
    for damaged in (b"", b"M\x05" + data[2:], data[:-3], data + b"x"):
        with pytest.raises(UserError, match="thing cannot be read"):
            mpy.read(damaged, "thing")
