"""The table by which a board finds its functions' bytecode in flash (see firmware/fieldpost/ports/code_in_flash.py).

    "FPC1", number of blocks      u8
    "M" name, path, lasts u8, names u16, constants u16
                                  a module and its file; whether it is never unloaded; how many names and constants
    "C" name                      a class of it; "" ends it
    "F" name, word u8, block u8, place u16, length u16, offset u32
                                  a function. word: 0, or which word of its wrapper (a property, a static method) points
                                  to it; place: where in its block it lies; offset: of the same bytes in the file

Numbers are little-endian; a text has a byte before it that tells its length. No function lies across two blocks, for
these need not be neighbours.
"""

import ast
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from host_tools.errors import UserError
from host_tools.toolchain import mpy

MAGIC = b"FPC1"
_BLOCK_BYTES = 4096
_GETTER, _SETTER, _WRAPPED = 1, 2, 1  # py/objproperty.c, py/obj.h
_WRAPPERS = {"property": _GETTER, "staticmethod": _WRAPPED, "classmethod": _WRAPPED}
_PLAIN = 0


def make(tree: Path, texts: Mapping[str, str], first: Iterable[str] = (), lasting: Collection[str] = ()) -> bytes:
    """Return the table of all modules of a compiled tree.

    texts: what each of its files was compiled from, by path. first: paths that shall come before all others. lasting:
    those of modules that are never unloaded. UserError if a text and its bytecode do not belong together.
    """
    order = [*first, *sorted(set(texts) - set(first))]
    packer = _Packer()
    parts = []
    for path in order:
        if not path.endswith(".mpy"):
            continue
        module = mpy.read((tree / path).read_bytes(), path)
        rows = list(_rows(ast.parse(texts[path]).body, module.code.children, path))
        if rows:
            counts = struct.pack("<BHH", path in lasting, module.names, module.constants)
            parts += [b"M", _text(_module_name(path)), _text("/" + path), counts, *_records(rows, packer)]
    if packer.block > 255:
        raise UserError(f"the code takes {packer.block} blocks of flash: more than a board has")
    return b"".join([MAGIC, bytes([packer.block + 1]), *parts])


class _Packer:
    """Gives each function its place."""

    def __init__(self) -> None:
        self.block = 0
        self._used = 0

    def place(self, length: int) -> tuple[int, int]:
        """Return block and place of the next `length` bytes."""
        if self._used + length > _BLOCK_BYTES:
            self.block, self._used = self.block + 1, 0
        place, self._used = self._used, self._used + length
        return self.block, place


def _module_name(path: str) -> str:
    return path.removeprefix("lib/").removesuffix(".mpy").removesuffix("/__init__").replace("/", ".")


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _records(rows: list[tuple[str, str, int, mpy.Code]], packer: _Packer) -> Iterator[bytes]:
    scope = ""
    for owner, name, word, code in rows:
        if code.length > _BLOCK_BYTES:
            continue
        if owner != scope:
            scope = owner
            yield b"C" + _text(owner)
        yield b"F" + _text(name) + struct.pack("<BBHHI", word, *packer.place(code.length), code.length, code.offset)


def _rows(
    body: list[ast.stmt], codes: list[mpy.Code], path: str, owner: str = ""
) -> Iterator[tuple[str, str, int, mpy.Code]]:
    """Yield (class or "", name, word, code) of each function that a module or a class defines by `def`."""
    waiting = iter(codes)
    for node in _definitions(body):
        # Between them lie the codes of lambdas and comprehensions. A name that every firmware has is not in the file.
        code = next((code for code in waiting if code.name in (node.name, "")), None)
        if code is None:
            raise UserError(f"{path}: the bytecode has no {node.name!r} where its text has it")
        if isinstance(node, ast.ClassDef):
            if not owner:
                yield from _rows(node.body, code.children, path, node.name)
        elif (word := _word(node)) is not None:
            yield owner, node.name, word, code


def _definitions(body: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield what is defined in these statements, also under `if` and `try`, in order."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node
        elif isinstance(node, ast.stmt | ast.ExceptHandler):
            yield from _definitions(ast.iter_child_nodes(node))


def _word(node: ast.FunctionDef) -> int | None:
    """Return what stands in the table for a function's decorators; None if it cannot be found behind them."""
    if not node.decorator_list:
        return _PLAIN
    last = node.decorator_list[0]
    if len(node.decorator_list) > 1:
        return None
    if isinstance(last, ast.Attribute) and last.attr == "setter":
        return _SETTER
    return _WRAPPERS.get(last.id) if isinstance(last, ast.Name) else None
