"""Makes one module of the many that are always loaded together, for boards: each module has a price there.

A module costs its name, a table of its globals, and in it one entry more for every name that it imports from another
module of ours. So the modules that the root needs at once are written one behind the other, in the order in which they
need each other, without the imports between them; what is imported later stays a module of its own and asks the
bundle instead.

    fieldpost/ring/frame.py, sector.py, log.py, ...     ->  fieldpost/core.py
    from fieldpost.ring import frame                    ->  nothing
    frame.pack(...)                                     ->  pack_1(...)     if another module has a `pack` as well

Names are replaced by their spelling, so a name that would have to change must mean one thing in its whole module: a
module whose functions use it for something of their own is refused, with the name.
"""

import ast
import builtins
import symtable
import tokenize
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from host_tools.errors import UserError
from host_tools.toolchain import spelling

_PACKAGE = "fieldpost"
CORE = _PACKAGE + ".core"
# Their numbers are written in later; until then a name of theirs is the same in every module.
_LIMITS = _PACKAGE + ".limits"
# What a user's own files import: these go on being modules by their names, made of names of the bundle.
_PUBLIC = (_PACKAGE + ".errors", _PACKAGE + ".shapes", _PACKAGE + ".commands.word")


@dataclass
class _Module:
    """What is known of one source. own: names bound at its top; taken: names of other modules of ours.

    taken: local name -> (module, name), or (module, None) where the name stands for the module itself.
    """

    name: str
    source: str
    tree: ast.Module
    own: set[str] = field(default_factory=set)
    taken: dict[str, tuple[str, str | None]] = field(default_factory=dict)


def bundle(sources: Mapping[str, str], root: str, builders: Collection[str] = ()) -> tuple[str, dict[str, str]]:
    """Return the bundle's source, and the sources of the modules that stay apart, by their names.

    sources: by dotted name. root: the module whose imports at its top decide what belongs to the bundle. builders:
    modules that stay apart, though what they import belongs to it as well. Raises UserError if a module cannot be
    taken in.
    """
    modules = {name: _read(name, source, sources) for name, source in sources.items()}
    order = [name for name in _needed((*builders, root), modules) if name not in builders]
    names = _name(order, modules)
    imported: set[tuple[str, str, str]] = set()
    parts = [_part(modules[name], names, order, imported) for name in order]
    others = {name: _other(module, names, order) for name, module in modules.items() if name not in order}
    for name in _PUBLIC:
        if name in order:
            others[name] = _facade(modules[name], names)
    return "".join(parts), others


def _read(name: str, source: str, sources: Collection[str]) -> _Module:
    module = _Module(name, source, ast.parse(source))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == _PACKAGE for alias in node.names):
            raise UserError(f"{name}, line {node.lineno}: expected 'from {_PACKAGE}... import ...'")
    for node, alias in _ours(module.tree.body):
        local = alias.asname or alias.name
        submodule = f"{node.module}.{alias.name}"
        module.taken[local] = (submodule, None) if submodule in sources else (str(node.module), alias.name)
    table = symtable.symtable(source, name, "exec")
    module.own = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if (symbol.is_assigned() and not symbol.is_imported()) or symbol.is_namespace()
    }
    return module


def _ours(body: list[ast.stmt]) -> Iterator[tuple[ast.ImportFrom, ast.alias]]:
    """Yield what a list of statements imports of the package."""
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == _PACKAGE:
            for alias in node.names:
                yield node, alias


def _needed(roots: Collection[str], modules: Mapping[str, _Module]) -> list[str]:
    """Return `roots` and what they need at once, each behind what it needs itself; packages and limits are left out."""
    order: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in visiting or name in (_LIMITS, _PACKAGE) or name not in modules:
            return
        visiting.add(name)
        for needed, _ in modules[name].taken.values():
            visit(needed)
        order.append(name)

    for root in roots:
        visit(root)
    return order


def _name(order: list[str], modules: Mapping[str, _Module]) -> dict[tuple[str, str], str]:
    """Return what each name that a bundled module binds is called in the bundle: as ever, if nothing else is."""
    bound: dict[str, set[tuple[str, str, str]]] = {}
    spellings: set[str] = set()
    for name in order:
        module = modules[name]
        spellings.update(_spellings(module))
        for own in module.own:
            bound.setdefault(own, set()).add((name, own, ""))
        for local, binding in _foreign(module.tree.body):
            bound.setdefault(local, set()).add(binding)
    names = {}
    for local, bindings in bound.items():
        if len({binding for binding in bindings if binding[0] not in modules}) > 1:
            raise UserError(f"{local!r} is imported from two places by modules that are bundled: rename one of the two")
    shadowed = {shadow for name in order for shadow in _shadowed(modules[name])}
    attributes = sorted(spelling for spelling in spellings if spelling[:1] == "_" and spelling[-1:] != "_")
    bare = set().union(*(_bare(modules[name]) for name in order))
    for name in order:
        names.update({(name, local): local for local, _ in _foreign(modules[name].tree.body)})
        here = _spellings(modules[name])
        for own in sorted(modules[name].own):
            new = own
            if len(bound[own]) > 1 or hasattr(builtins, own) or (name, own) in shadowed:
                # A name that other modules use for attributes alone costs nothing more.
                known = (free for free in attributes if free not in bare and free not in here)
                fresh = (free for number in count(1) if (free := f"{own}_{number}") not in spellings)
                new = next(known, None) or next(fresh) if own.startswith("_") else next(fresh)
                spellings.add(new)
                bare.add(new)
            names[name, own] = new
    return names


def _spellings(module: _Module) -> set[str]:
    """Return every name that stands in a module."""
    return {token.string for token in spelling.names(module.source)}


def _bare(module: _Module) -> set[str]:
    """Return the names of a module that do not stand behind a point: variables, arguments, what it defines."""
    names = set(module.own)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg | ast.keyword):
            names.add(str(node.arg))
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def _shadowed(module: _Module) -> Iterator[tuple[str, str]]:
    """Yield the names of other modules that are used as `module.name` here, beside a variable called `name`."""
    variables = {symbol.get_name() for table in _scopes(module) for symbol in table.get_symbols() if symbol.is_local()}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in variables:
            source, name = module.taken.get(node.value.id, ("", ""))
            if name is None:
                yield source, node.attr


def _scopes(module: _Module) -> Iterator[symtable.SymbolTable]:
    """Yield the scopes of a module's functions and classes."""
    waiting = symtable.symtable(module.source, module.name, "exec").get_children()
    while waiting:
        table = waiting.pop()
        yield table
        waiting.extend(table.get_children())


def _foreign(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield what a module binds by importing what is not bundled, at its top: the local name and what it stands for."""
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], ("", alias.name, alias.asname or "")
        elif isinstance(node, ast.ImportFrom) and (
            str(node.module).split(".")[0] != _PACKAGE or node.module == _LIMITS
        ):
            for alias in node.names:
                yield alias.asname or alias.name, (str(node.module), alias.name, alias.asname or "")


def _part(
    module: _Module, names: Mapping[tuple[str, str], str], order: list[str], imported: set[tuple[str, str, str]]
) -> str:
    """Return a module's text as it stands in the bundle. imported: what stands there already, and grows."""
    lines = module.source.splitlines(keepends=True)
    new_names = {own: names[module.name, own] for own in module.own}
    spaces = {}
    for local, (source, name) in module.taken.items():
        if source in order:
            if name is None:
                spaces[local] = source
            else:
                new_names[local] = _bundled(names, source, name, module.name)
    changed = {old: new for old, new in new_names.items() if old != new}
    _check(module, set(changed) | set(spaces))
    edits = list(_edits(lines, module, changed, spaces, names))
    for node in module.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            edits = [edit for edit in edits if not node.lineno <= edit[0] <= (node.end_lineno or node.lineno)]
            _replace(lines, node, _kept_import(module, node, order, imported))
    spelling.edit(lines, edits)
    _redirect(lines, module, names, order)
    return f"# {module.name}\n" + "".join(lines)


def _kept_import(
    module: _Module, node: ast.Import | ast.ImportFrom, order: list[str], imported: set[tuple[str, str, str]]
) -> str:
    """Return what is left of an import at a module's top once the bundle has what it asks for."""
    kept = []
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            if module.taken.get(alias.asname or alias.name, ("", None))[0] in order:
                continue
            binding = (str(node.module), alias.name, alias.asname or "")
        else:
            binding = ("", alias.name, alias.asname or "")
        if binding not in imported:
            imported.add(binding)
            kept.append(alias.name + (f" as {alias.asname}" if alias.asname else ""))
    if not kept:
        return ""
    return (f"from {node.module} " if isinstance(node, ast.ImportFrom) else "") + "import " + ", ".join(kept)


def _other(module: _Module, names: Mapping[tuple[str, str], str], order: list[str]) -> str:
    """Return the text of a module that stays apart, with the bundle in place of what was taken into it."""
    lines = module.source.splitlines(keepends=True)
    _redirect(lines, module, names, order)
    return "".join(lines)


def _facade(module: _Module, names: Mapping[tuple[str, str], str]) -> str:
    """Return a module that offers what a bundled one makes public."""
    public = {own: names[module.name, own] for own in sorted(module.own) if not own.startswith("_")}
    return f"from {CORE} import {', '.join(new if new == own else f'{new} as {own}' for own, new in public.items())}\n"


def _redirect(lines: list[str], module: _Module, names: Mapping[tuple[str, str], str], order: list[str]) -> None:
    """Let every import of a bundled module that still stands ask the bundle."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ImportFrom) or (module.name in order and node in module.tree.body):
            continue
        whole, single = [], []
        for alias in node.names:
            local = alias.asname or alias.name
            source = f"{node.module}.{alias.name}"
            if source in order:
                spelling.edit(lines, list(_attributes(module, local, source, names)))
                whole.append(f"core as {local}")
            elif node.module in order:
                new = _bundled(names, str(node.module), alias.name, module.name)
                single.append(new if new == local else f"{new} as {local}")
        if whole or single:
            if len(whole) + len(single) != len(node.names):
                raise UserError(f"{module.name}, line {node.lineno}: import what is bundled in a line of its own")
            _replace(lines, node, f"from {_PACKAGE if whole else CORE} import {', '.join(whole + single)}")


def _attributes(
    module: _Module, local: str, source: str, names: Mapping[tuple[str, str], str]
) -> Iterator[spelling.Edit]:
    """Yield how to write `local.name` where `local` stands for the bundle in place of module `source`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == local:
            row, end = node.end_lineno or 0, node.end_col_offset or 0
            yield row, end - len(node.attr), end, _bundled(names, source, node.attr, module.name)


def _bundled(names: Mapping[tuple[str, str], str], source: str, name: str, asker: str) -> str:
    """Return the bundle's name for `name` of module `source`."""
    if (source, name) not in names:
        raise UserError(f"{asker} imports {name} from {source}, which does not define it")
    return names[source, name]


def _check(module: _Module, names: set[str]) -> None:
    """Raise UserError unless each of `names` means one thing in the whole of the module."""

    for table in _scopes(module):
        for symbol in table.get_symbols():
            if symbol.get_name() in names and symbol.is_local():
                raise UserError(
                    f"{module.name}: {symbol.get_name()!r} is bound in {table.get_name()} as well, and needs another "
                    "name in the bundle: call one of the two differently"
                )
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg in names:
            raise UserError(f"{module.name}, line {node.value.lineno}: {node.arg!r} is an argument's name as well")


def _edits(
    lines: list[str],
    module: _Module,
    changed: Mapping[str, str],
    spaces: Mapping[str, str],
    names: Mapping[tuple[str, str], str],
) -> Iterator[spelling.Edit]:
    """Yield what to write where: (line, start, end, text)."""
    tokens = list(spelling.tokens(module.source))
    for index, token in enumerate(tokens):
        if token.type != tokenize.NAME or (index and tokens[index - 1].string == "."):
            continue
        row, start = token.start
        if token.string in spaces:
            if tokens[index + 1].string != ".":
                if lines[row - 1].lstrip().startswith(("from ", "import ")) or _in_import(module, row):
                    continue
                raise UserError(f"{module.name}, line {row}: {token.string} is used as an object")
            attribute = tokens[index + 2]
            new = _bundled(names, spaces[token.string], attribute.string, module.name)
            yield row, start, attribute.end[1], new
        elif token.string in changed:
            yield spelling.spelled(token, changed[token.string])


def _in_import(module: _Module, row: int) -> bool:
    return any(
        isinstance(node, ast.Import | ast.ImportFrom) and node.lineno <= row <= (node.end_lineno or node.lineno)
        for node in ast.walk(module.tree)
    )


def _replace(lines: list[str], node: ast.stmt, text: str) -> None:
    """Write `text` in place of a statement; no line moves."""
    first, last = node.lineno, node.end_lineno or node.lineno
    before, after = lines[first - 1][: node.col_offset], lines[last - 1][node.end_col_offset :]
    lines[first - 1 : last] = [before + text + (after if text else after.lstrip(" ;") or "\n")] + ["\n"] * (
        last - first
    )
