"""Reads where the functions of a compiled module lie in its file.

Source: MicroPython, py/persistentcode.c and tools/mpy-tool.py, bytecode version 6.
"""

from dataclasses import dataclass, field

from host_tools.errors import UserError

_MAGIC = b"M\x06"
_OBJECT_WITHOUT_DATA = range(1, 5)  # None, False, True, Ellipsis
_TEXT, _BYTES, _TUPLE = 5, 6, 10


@dataclass
class Code:
    """The bytecode of a function, a class body or a module. offset: of its first byte in the file."""

    name: str
    offset: int
    length: int
    children: list["Code"] = field(default_factory=list)


@dataclass
class Module:
    """A file. names, constants: how many it has. code: what runs when it is imported; what that defines are its
    children, in the order of the text.
    """

    names: int
    constants: int
    code: Code


def read(data: bytes, name: str) -> Module:
    """Return what a compiled module is made of.

    name: of the file, for messages. UserError if it is no bytecode of version 6, or not whole.
    """
    try:
        if data[:2] != _MAGIC:
            raise ValueError("expected bytecode of version 6")
        reader = _Reader(data, 4)
        module = reader.module()
        if reader.at != len(data):
            raise ValueError(f"ends at {reader.at} of {len(data)} bytes")
    except (IndexError, ValueError) as error:
        raise UserError(f"{name} cannot be read: {error}") from error
    return module


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at
        self._names: list[str] = []

    def module(self) -> Module:
        name_count, constant_count = self._uint(), self._uint()
        self._names = [self._name() for _ in range(name_count)]
        for _ in range(constant_count):
            self._skip_object()
        return Module(name_count, constant_count, self._code())

    def _uint(self) -> int:
        value = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value

    def _name(self) -> str:
        length = self._uint()
        if length & 1:
            return ""  # one of those that every firmware has, by its number
        start, self.at = self.at, self.at + (length >> 1) + 1
        return self._data[start : self.at - 1].decode()

    def _skip_object(self) -> None:
        kind = self._data[self.at]
        self.at += 1
        if kind in _OBJECT_WITHOUT_DATA:
            return
        length = self._uint()
        if kind == _TUPLE:
            for _ in range(length):
                self._skip_object()
        else:
            self.at += length + (kind in (_TEXT, _BYTES))

    def _code(self) -> Code:
        kind_and_length = self._uint()
        if kind_and_length & 3:
            raise ValueError("machine code cannot be moved")
        offset, length = self.at, kind_and_length >> 3
        self.at += length
        code = Code(self._names[self._simple_name(offset)], offset, length)
        if kind_and_length & 4:
            code.children = [self._code() for _ in range(self._uint())]
        return code

    def _simple_name(self, at: int) -> int:
        """Return the index of a function's name: it stands behind two numbers of as many bytes as say so."""
        end, self.at = self.at, at
        for _ in range(2):
            while self._data[self.at] & 0x80:
                self.at += 1
            self.at += 1
        index = self._uint()
        self.at = end
        return index
