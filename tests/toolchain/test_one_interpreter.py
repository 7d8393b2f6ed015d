"""On boards lies only what MicroPython runs, at the lines where it was."""

from host_tools.toolchain.one_interpreter import for_micropython

BOTH = """\
from compat import is_micropython
import compat

if is_micropython:
    import tls
else:
    import ssl

    tls = ssl


def free():
    if not compat.is_micropython:
        first = "of two lines"
        return first
    if compat.is_micropython and tls:
        return 1
    return 2


def kind(n):
    if n:
        return "n"
    elif compat.is_micropython:
        return "small"
    elif n is None:
        return "none"
    else:
        return "large"
"""
ONE = """\
from compat import is_micropython
import compat

if True:
    import tls






def free():
    if False:
        pass

    if compat.is_micropython and tls:
        return 1
    return 2


def kind(n):
    if n:
        return "n"
    elif True:
        return "small"




"""


def test_branches_of_cpython_are_left_empty_and_no_line_moves():
    assert for_micropython(BOTH) == ONE


def test_a_text_without_them_stays_as_it_is():
    assert for_micropython("a = 1\n") == "a = 1\n"
