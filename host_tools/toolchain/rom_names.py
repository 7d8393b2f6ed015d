"""Calls what is ours by names that every MicroPython has in its ROM, for boards: a name of our own takes RAM there.

The interpreter keeps each name of a loaded module as an interned string, in tables that double when they are full: 15
to 20 bytes a name. The names that are built into it cost nothing, and hundreds of those mean nothing to us. So in the
texts of a whole tree each name that we define, and that nobody else can know, gives way to one of them; none of these
stands in any of the texts, so that nothing means two things. What people see stays as it is: texts, keys, and what a
user's own commands may use.

micropython_names.txt is made of the public source, MicroPython 1.24 to 1.28 (MP_QSTR_* in py, extmod, shared, drivers
and the ports esp32, rp2 and unix, and the names in what RPI_PICO_W freezes). Those marked `rom` were found in the
firmware of rp2 and in the program for Linux, those marked `rp2` in the former only. Where one is missing, it takes RAM
as any other.
"""

import ast
import builtins
import functools
import keyword
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from host_tools.toolchain import spelling

_NAMES = Path(__file__).with_name("micropython_names.txt")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What a user's own commands are made of, and what they reach through their context (docs/commands.md).
_PUBLIC = (
    "fieldpost.errors",
    "fieldpost.shapes",
    "fieldpost.commands.word",
    "fieldpost.commands.context",
)
_OUTPUTS = "fieldpost.commands.outputs"
_PUBLIC_OF_AGENT_AND_RING = {"last_reading", "reading_schema", "pending", "lost", "damaged", "next_number"}
# What the interpreter looks up by itself, and attributes that exceptions have (py/objexcept.c).
_TAKEN = {*dir(builtins), "args", "errno", "value"}


def public_names(sources: Mapping[str, str]) -> set[str]:
    """Return the names that a user's own commands may use. sources: of our modules, by dotted name."""
    found = set(_PUBLIC_OF_AGENT_AND_RING)
    for node in ast.parse(sources[_OUTPUTS]).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found.update(inner.name for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef))
    for name in _PUBLIC:
        found.update(word for word in _names(sources[name]) if word.startswith("__") or not word.startswith("_"))
    return found


def plan(texts: Mapping[str, str], foreign: Mapping[str, str], kept: set[str]) -> dict[str, str]:
    """Return new names for those that stand in `texts`: sources by dotted name.

    foreign: sources that go on the board too and stay as they are. kept: names that must stay, too.
    """
    trees = {key: ast.parse(text) for key, text in texts.items()}
    spellings = {key: _names(text) for key, text in texts.items()}
    used = set().union(*spellings.values())
    kept = kept.union(*(_bound_elsewhere(tree, texts) for tree in trees.values()))
    for text in foreign.values():
        kept = kept.union(_names(text), _bound_elsewhere(ast.parse(text), texts))
    everywhere, on_rp2, known = _micropython()
    constants = dict(_constants(trees, spellings))
    hidden = {name: f"_{name}" for name, is_shared in constants.items() if not is_shared}
    hidden = {name: new for name, new in hidden.items() if name not in kept and new not in kept | used}
    ours = set().union(*map(_interned, trees.values())) - kept - known - hidden.keys()
    free = [*sorted(everywhere - used - kept - _TAKEN), *sorted(on_rp2 - used - kept - _TAKEN)]
    # A constant whose name is private is gone when the module is compiled: not good for one that others ask for. So
    # constants choose first, and private names come last; of the rest the longest choose first.
    choosing = sorted(
        (name for name in ours if not name.startswith("__")),
        key=lambda name: (name not in constants, -len(name), name),
    )
    free.sort(key=lambda name: name.startswith("_"))
    return dict(zip(choosing, free, strict=False)) | hidden


def _constants(trees: Mapping[str, ast.Module], spellings: Mapping[str, Collection[str]]) -> Iterator[tuple[str, bool]]:
    """Yield the public constants of modules, and whether more than one of the texts has that name."""
    for key, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and _is_constant(node.value) and not _is_private(node.targets[0]):
                name = ast.unparse(node.targets[0])
                yield name, any(name in names for other, names in spellings.items() if other != key)


def rename(text: str, names: Mapping[str, str]) -> str:
    """Return `text` with the names of `names` replaced, save in the paths of modules. No line moves."""
    lines = text.splitlines(keepends=True)
    imports = {node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    inside_path = False
    edits = []
    for token in spelling.names(text):
        if token.string == "from":
            inside_path = token.start[0] in imports
        elif token.string == "import":
            inside_path = False
        elif not inside_path and token.string in names:
            edits.append(spelling.spelled(token, names[token.string]))
    spelling.edit(lines, edits)
    return "".join(lines)


def _interned(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module makes and that stay in it: not those of variables inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Module | ast.ClassDef):
            yield from _assigned(node.body)


def _assigned(body: Iterable[ast.AST]) -> Iterator[str]:
    """Yield what statements assign, at their own level."""
    for node in body:
        if isinstance(node, ast.Assign) and _is_constant(node.value) and _is_private(node.targets[0]):
            continue  # the compiler puts its value in its place
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.expr) or isinstance(
            node, ast.Tuple | ast.List | ast.Starred
        ):
            yield from _assigned(ast.iter_child_nodes(node))


def _is_private(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.startswith("_")


def _is_constant(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "const"


def _bound_elsewhere(tree: ast.Module, modules: Collection[str]) -> Iterator[str]:
    """Yield names that more depends on than the texts' own names: texts, arguments by name, modules, errors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases
        ):
            yield node.name  # people read it
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _IDENTIFIER.match(node.value):
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from (alias.asname or alias.name).split(".")
        elif isinstance(node, ast.ImportFrom):
            is_ours = str(node.module).split(".")[0] == "fieldpost"
            for alias in node.names:
                if not is_ours or f"{node.module}.{alias.name}" in modules:
                    yield from (alias.name, alias.asname or alias.name)


def _names(text: str) -> set[str]:
    return {token.string for token in spelling.names(text) if not keyword.iskeyword(token.string)}


@functools.cache
def _micropython() -> tuple[set[str], set[str], set[str]]:
    """Return the names that all ports have in ROM, those that rp2 has besides, and all that the source has."""
    marks = dict(line.partition(" ")[::2] for line in _NAMES.read_text(encoding="ascii").splitlines())
    usable = {name for name in marks if not name.startswith("__") and not keyword.iskeyword(name)}
    return (
        {name for name in usable if marks[name] == "rom"},
        {name for name in usable if marks[name] == "rp2"},
        set(marks),
    )
