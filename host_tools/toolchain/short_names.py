"""Gives the private names of the firmware short ones, for boards: each different name takes RAM there.

MicroPython keeps every name of a loaded module as an interned string, with room for as many again. A private name
(one leading underscore) that stands in one module alone can be called as private names of other modules are called;
one that several modules use gets one short name for all, and modules whose classes inherit from one another count as
one. Names that the drivers use too are left alone, and so is everything public. Tracebacks lose the private functions'
names; they keep file and line.
"""

import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from host_tools.toolchain import spelling

_PRIVATE = re.compile(r"_[A-Za-z0-9][A-Za-z0-9_]*\Z")


def private_names(source: str) -> set[str]:
    """Return the private names that stand in `source`."""
    return {token.string for token in _names(source)}


def plan(modules: Mapping[str, str], foreign: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what to call the private names of each module. modules: sources by name; foreign: other sources."""
    kept = set().union(*(private_names(source) for source in foreign)) if foreign else set()
    found = {name: private_names(source) - kept for name, source in modules.items()}
    uses = Counter(private for names in found.values() for private in names)
    free = (f"_{number:x}" for number in count() if f"_{number:x}" not in kept and f"_{number:x}" not in uses)
    shared = {private: next(free) for private, times in sorted(uses.items()) if times > 1}
    alone: list[str] = []
    plans = {}
    for family in _families(modules, found):
        own = sorted(set().union(*(found[name] for name in family)) - shared.keys())
        while len(alone) < len(own):
            alone.append(next(free))
        new_names = shared | dict(zip(own, alone, strict=False))
        for name in family:
            plans[name] = {private: new_names[private] for private in found[name]}
    return plans


def _families(modules: Mapping[str, str], found: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the modules in groups: those together whose classes inherit private names from one another."""
    families = {name: {name} for name in sorted(modules)}
    for name, source in modules.items():
        for parent in _parents(source) & modules.keys():
            if found[parent]:
                joined = families[name] | families[parent]
                families.update(dict.fromkeys(joined, joined))
    return [family for name, family in families.items() if name == min(family)]


def _parents(source: str) -> set[str]:
    """Return the modules that the classes of `source` inherit from."""
    tree = ast.parse(source)
    origins = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            origins.update({alias.asname or alias.name: str(node.module) for alias in node.names})
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}
    return {origins[base] for base in bases if base in origins}


def rename(source: str, names: Mapping[str, str]) -> str:
    """Return `source` with the names of `names` replaced. Nothing moves to another line."""
    lines = source.splitlines(keepends=True)
    spelling.edit(lines, (spelling.spelled(token, names.get(token.string, token.string)) for token in _names(source)))
    return "".join(lines)


def _names(source: str) -> Iterator[tokenize.TokenInfo]:
    return (token for token in spelling.names(source) if _PRIVATE.match(token.string))
