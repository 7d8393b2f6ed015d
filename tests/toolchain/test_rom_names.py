"""Names of ours give way to names that MicroPython has anyway, and nothing changes but them."""

from host_tools.toolchain import rom_names

PUBLIC = ("errors", "shapes", "commands.word", "commands.context", "commands.outputs")

A = '''
from micropython import const

_LIMIT = const(7)
TEXTS = {"spelled_out": 1}


class Counter:
    """own_count stays in texts."""

    def __init__(self, first_value):
        self.own_count = first_value
        self.spelled_out = 0

    def advance_by(self, amount=_LIMIT):
        local_total = self.own_count + amount
        self.own_count = local_total
        return local_total


class CounterBroken(ValueError):
    pass
'''
B = """
from fieldpost.a import Counter
from fieldpost import own_count as module


def run_twice(counter_class=Counter):
    counter = counter_class(1)
    counter.advance_by()
    counter.driver_thing = len(str(counter.own_count))
    return counter.advance_by(amount=2), counter.driver_thing
"""


def texts() -> dict[str, str]:
    return {"fieldpost.a": A, "fieldpost.b": B, "fieldpost.own_count": ""}


def test_the_renamed_do_what_they_did() -> None:
    names = rom_names.plan(texts(), {"driver": "x.driver_thing = 1\n"}, {"run_twice"})
    assert {"Counter", "first_value", "advance_by"} <= names.keys()
    assert len(set(names.values())) == len(names), "each its own"
    space: dict[str, object] = {"const": lambda value: value}
    for text in (A, B):
        renamed = rom_names.rename(text, names)
        assert renamed.count("\n") == text.count("\n")
        lines = [line for line in renamed.splitlines() if not line.startswith("from ")]
        exec("\n".join(lines), space)
    assert space["run_twice"]() == (10, 1)  # type: ignore[operator]
    assert names["Counter"] in space and "Counter" not in space


def test_what_others_depend_on_stays() -> None:
    names = rom_names.plan(texts(), {"driver": "x.driver_thing = 1\n"}, {"run_twice"})
    stays = {
        "spelled_out": "a text says so",
        "amount": "an argument's name in a call",
        "driver_thing": "a driver's",
        "run_twice": "public",
        "own_count": "a module's",
        "_LIMIT": "no name on a board",
        "CounterBroken": "people read it",
        "local_total": "a variable of a function takes nothing",
        "__init__": "the interpreter's",
    }
    assert not names.keys() & stays.keys()
    renamed = rom_names.rename(B, names)
    assert "from fieldpost.a import " + names["Counter"] in renamed and "import own_count as module" in renamed
    assert '"""own_count stays in texts."""' in rom_names.rename(A, names)


def test_constants_of_one_module_leave_no_name_and_shared_ones_do() -> None:
    texts = {
        "fieldpost.a": "OWN_KIND = const(1)\nSHARED_KIND = const(2)\nprint(OWN_KIND)\n",
        "fieldpost.b": "from fieldpost.a import SHARED_KIND\n",
    }
    names = rom_names.plan(texts, {}, set())
    assert names["OWN_KIND"] == "_OWN_KIND", "the compiler drops private ones"
    assert not names["SHARED_KIND"].startswith("_")


def test_new_names_stand_nowhere_else() -> None:
    names = rom_names.plan(texts(), {"driver": "abcd.off = on\n"}, set())
    everywhere = " ".join(texts().values())
    assert not any(name in everywhere.split() for name in names.values())
    assert not {"off", "on", "print", "value", "AssertionError"} & set(names.values())


def test_what_commands_of_users_reach_is_public() -> None:
    from host_tools.shipped import shipped

    folder = shipped("firmware") / "fieldpost"
    sources = {f"fieldpost.{name}": (folder / f"{name.replace('.', '/')}.py").read_text() for name in PUBLIC}
    public = rom_names.public_names(sources)
    assert {"command", "Integer", "once", "outputs", "pulse", "set", "last_reading", "pending", "Mismatch"} <= public
