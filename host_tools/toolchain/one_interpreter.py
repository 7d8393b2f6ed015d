"""Leaves out of a board's texts what only CPython would do: names and bytecode that it would carry for nothing.

What counts is a branch on `compat.is_micropython` alone, or on its opposite. No line moves.
"""

import ast

from host_tools.toolchain import spelling

_FLAG = "is_micropython"


def for_micropython(text: str) -> str:
    """Return the text of a module with the branches that only CPython takes left empty."""
    if _FLAG not in text:
        return text
    lines = text.split("\n")
    edits: list[spelling.Edit] = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.If):
            continue
        test, wanted = node.test, True
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, wanted = test.operand, False
        if not _is_flag(test):
            continue
        edits.append((node.test.lineno, node.test.col_offset, node.test.end_col_offset or 0, str(wanted)))
        if not wanted:
            _empty(lines, node.body[0].lineno, _end(node.body), node.body[0].col_offset)
        elif node.orelse:
            # The line of `else` or `elif` lies before its first statement, behind the last of the other branch.
            _empty(lines, _end(node.body) + 1, _end(node.orelse))
    spelling.edit(lines, edits)
    return "\n".join(lines)


def _is_flag(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == _FLAG) or (isinstance(node, ast.Attribute) and node.attr == _FLAG)


def _end(body: list[ast.stmt]) -> int:
    return body[-1].end_lineno or body[-1].lineno


def _empty(lines: list[str], first: int, last: int, indent: int | None = None) -> None:
    """Empty lines, counted from 1. indent: of the `pass` that takes their place."""
    lines[first - 1 : last] = [""] * (last - first + 1)
    if indent is not None:
        lines[first - 1] = " " * indent + "pass"
