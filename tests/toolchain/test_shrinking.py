"""Names that take RAM on a board give way, and what the module does stays the same."""

import pytest

from host_tools.errors import UserError
from host_tools.toolchain.inline_limits import inline, read_limits
from host_tools.toolchain.short_names import plan, rename

MODULE = '''from fieldpost.limits import (
    BIG,
    SMALL,
)


class Thing:
    BIG_ONE = BIG

    def size(self):
        """BIG stays in texts."""
        return self.SMALL + SMALL

    SMALL = 5
'''


def test_limits_become_numbers_and_no_line_moves(tmp_path):
    text = inline(
        MODULE.replace("\n    SMALL = 5", "\n    small = 5").replace("self.SMALL", "self.small"),
        {"BIG": 300, "SMALL": 7},
        "m",
    )
    assert text.splitlines()[0] == "_BIG = const(300); _SMALL = const(7)"
    assert text.count("\n") == MODULE.count("\n")
    space = {"const": lambda value: value}
    exec(text, space)
    assert space["Thing"]().size() == 12 and space["Thing"].BIG_ONE == 300


def test_what_has_no_number_or_is_taken_is_told():
    with pytest.raises(UserError, match="no number for: HUGE"):
        inline("from fieldpost.limits import HUGE\n", {"BIG": 1}, "m")
    with pytest.raises(UserError, match="has a name _BIG of its own"):
        inline("from fieldpost.limits import BIG\n_BIG = 2\n", {"BIG": 1}, "m")
    assert inline("x = 1\n", {}, "m") == "x = 1\n"


def test_the_firmwares_limits_can_be_read():
    from host_tools.shipped import shipped

    limits = read_limits(shipped("firmware") / "fieldpost" / "limits.py")
    assert limits["RECORD_BYTES_MAX"] == 220 and len(limits) > 50


def test_private_names_are_shared_between_modules_that_do_not_share_them():
    modules = {
        "a": "class A:\n    def __init__(self):\n        self._left = self._config = 1\n",
        "b": "class B:\n    def go(self):\n        self._right = 2\n        return self._config\n",
    }
    plans = plan(modules, ["def _driver(): pass\n"])
    assert plans["a"]["_config"] == plans["b"]["_config"], "two modules speak of the same"
    assert plans["a"]["_left"] == plans["b"]["_right"], "no module sees both"
    assert len({plans["a"]["_config"], plans["a"]["_left"]}) == 2
    assert "__init__" not in plans["a"]


def test_names_of_drivers_and_texts_are_left_alone():
    modules = {"a": "class A:\n    _read = '_read _own'\n    def _own(self): return self._own, self._read\n"}
    plans = plan(modules, ["x._read\n", "_0 = 1\n"])
    text = rename(modules["a"], plans["a"])
    assert text == "class A:\n    _read = '_read _own'\n    def _1(self): return self._1, self._read\n"


def test_every_module_still_compiles_and_names_are_few(tmp_path):
    """Goal: what a board holds of names is what it needs. Method: count different private names before and after."""
    from host_tools.toolchain import firmware

    tree = firmware.build(tmp_path / "tree", lambda line: None)
    assert not [path for path in tree.rglob("*") if path.is_file() and path.suffix not in (".mpy", ".py", ".bin")]
    texts = [path.read_text() for path in (tmp_path / "tree-sources" / "fieldpost").rglob("*.mpy")]
    from host_tools.toolchain.short_names import private_names

    after = set().union(*(private_names(text) for text in texts))
    from host_tools.shipped import shipped

    # Limits become numbers when it is compiled; their names are in the text alone.
    after -= {"_" + name for name in read_limits(shipped("firmware") / "fieldpost" / "limits.py")}
    before = set().union(*(private_names(path.read_text()) for path in shipped("firmware").glob("fieldpost/**/*.py")))
    assert len(after) * 3 < len(before), (len(after), len(before))
    assert firmware.build(tmp_path / "tree", lambda line: pytest.fail(line)) == tree, "nothing is compiled twice"
