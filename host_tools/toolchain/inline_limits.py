"""Puts the numbers of fieldpost.limits where their names stand, for boards: each imported name costs RAM there.

mpy-cross drops `_NAME = const(number)` and writes the number wherever the name is used (MicroPython documentation,
micropython.const). So an import of limits becomes such lines, and the names get their underscore. Lines stay where
they are: tracebacks keep telling the truth.
"""

import ast
import tokenize
from pathlib import Path

from host_tools.errors import UserError
from host_tools.toolchain import spelling

_MODULE = "fieldpost.limits"


def read_limits(path: Path) -> dict[str, int]:
    """Return the integers that a limits module defines."""
    source = path.read_text(encoding="utf-8").replace("from fieldpost.compat import const", "")
    names: dict[str, object] = {"const": lambda value: value}
    exec(compile(source, str(path), "exec"), names)
    return {name: value for name, value in names.items() if type(value) is int}


def inline(source: str, limits: dict[str, int], name: str) -> str:
    """Return `source` with numbers for the limits that it imports. name: for messages. Raises UserError."""
    body = ast.parse(source).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == _MODULE]
    if not imports:
        return source
    imported = {alias.name for node in imports for alias in node.names}
    unknown = imported - limits.keys()
    if unknown or any(alias.asname for node in imports for alias in node.names):
        raise UserError(f"{name} imports what {_MODULE} has no number for: {', '.join(sorted(unknown)) or 'an alias'}")
    lines = source.splitlines(keepends=True)
    _rename(lines, source, imported, name)
    for node in imports:
        assert node.end_lineno is not None
        constants = "; ".join(f"_{alias.name} = const({limits[alias.name]})" for alias in node.names)
        lines[node.lineno - 1 : node.end_lineno] = [constants + "\n"] + ["\n"] * (node.end_lineno - node.lineno)
    return "".join(lines)


def _rename(lines: list[str], source: str, names: set[str], where: str) -> None:
    """Give `names` their underscore, wherever they are names and no attributes."""
    before = ""
    edits = []
    for token in spelling.tokens(source):
        if token.type == tokenize.NAME and token.string in names and before != ".":
            edits.append(spelling.spelled(token, "_" + token.string))
        elif token.type == tokenize.NAME and token.string[:1] == "_" and token.string[1:] in names:
            raise UserError(f"{where} has a name {token.string} of its own beside the limit")
        before = token.string
    spelling.edit(lines, edits)
