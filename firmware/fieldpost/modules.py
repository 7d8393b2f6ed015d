"""Modules that have done their work and shall not stay on a board's heap."""

import sys


def unload(name):
    """Let the interpreter and its package forget a module (dotted name), if it is there; it may be imported again."""
    if sys.modules.pop(name, None) is not None:
        package, _, last = name.rpartition(".")
        delattr(sys.modules[package], last)
