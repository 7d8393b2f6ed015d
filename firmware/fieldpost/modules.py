"""Modules that have done their work and shall not stay on a board's heap."""

import sys


def unload(name):
    """Let the interpreter and its package forget a module (dotted name), if it is there; it may be imported again."""
    if name in sys.modules:
        package, _, last = name.rpartition(".")
        # MicroPython leaves the value of a deleted entry in its table (py/map.c), and so on the heap.
        sys.modules[name] = None
        del sys.modules[name]
        if package:
            setattr(sys.modules[package], last, None)
            delattr(sys.modules[package], last)
