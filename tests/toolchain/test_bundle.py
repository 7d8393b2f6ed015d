"""The bundle is the same program as the modules that it was made of."""

import subprocess
import sys

import pytest

from host_tools.errors import UserError
from host_tools.toolchain.bundle import bundle
from host_tools.toolchain.short_names import plan

ROOM = "fieldpost."


def build(tmp_path, sources, root):
    """Write what `bundle` makes of `sources` as a package, and return a runner of programs that import it."""
    core, apart = bundle({ROOM + name: text for name, text in sources.items()}, ROOM + root)
    for name, text in (apart | {"fieldpost.core": core}).items():
        path = tmp_path / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(program):
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run, core, apart


def test_modules_become_one_and_the_program_stays_the_same(tmp_path):
    sources = {
        "frame": "import struct\n\n\ndef pack(n):\n    return struct.pack('<H', n)\n",
        "sector": "import struct\nfrom fieldpost import frame\n\n\ndef pack(n):\n    return frame.pack(n) + b'!'\n",
        "log": "from fieldpost import frame, sector\nfrom fieldpost.sector import pack as seal\n\n\n"
        "class Log:\n    def all(self, verdict):\n        return frame.pack(1), sector.pack(2), seal(3), verdict\n",
        "root": "from fieldpost.log import (\n    Log,\n)\n\n\ndef later():\n    from fieldpost import apart\n"
        "    return apart.answer()\n",
        "apart": "from fieldpost import sector\nfrom fieldpost.frame import pack\n\n\n"
        "def answer():\n    return sector.pack(4) + pack(5)\n",
    }
    run, core, apart = build(tmp_path, sources, "root")
    assert core.count("import struct") == 1 and "from fieldpost.log" not in core
    assert set(apart) == {"fieldpost.apart"}
    assert run("from fieldpost.core import Log, later; print(*Log().all('v'), later(), sep=chr(10))") == [
        r"b'\x01\x00'",
        r"b'\x02\x00!'",
        r"b'\x03\x00!'",
        "v",
        r"b'\x04\x00!\x05\x00'",
    ]


def test_a_variable_of_the_same_name_keeps_its_meaning(tmp_path):
    """`guard.verdict(...)` beside a variable `verdict`: spelled alike, the function would become the variable."""
    sources = {
        "guard": "def verdict(x):\n    return x + 1\n",
        "root": "from fieldpost import guard\n\n\ndef act(x):\n    verdict = guard.verdict(x)\n    return verdict\n",
    }
    run, _, _ = build(tmp_path, sources, "root")
    assert run("from fieldpost.core import act; print(act(1))") == ["2"]


def test_names_of_builtins_are_not_captured(tmp_path):
    sources = {
        "files": "def open(path):\n    return 'ours'\n",
        "root": "from fieldpost import files\n\n\ndef both():\n    return files.open(''), open.__module__\n",
    }
    run, _, _ = build(tmp_path, sources, "root")
    assert run("from fieldpost.core import both; print(*both())")[0] == "ours"
    assert run("from fieldpost.core import both; print(*both())")[1] in ("io", "_io")


def test_what_users_import_goes_on_being_a_module(tmp_path):
    sources = {
        "errors": "class Wrong(Exception):\n    pass\n",
        "root": "from fieldpost.errors import Wrong\n\n\ndef go():\n    raise Wrong\n",
    }
    run, _, apart = build(tmp_path, sources, "root")
    assert apart["fieldpost.errors"] == "from fieldpost.core import Wrong\n"
    program = (
        "from fieldpost.core import go\nfrom fieldpost.errors import Wrong\ntry:\n go()\nexcept Wrong:\n print('same')"
    )
    assert run(program) == ["same"]


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ({"root": "import fieldpost.a\n"}, "expected 'from fieldpost... import ...'"),
        (
            {"root": "from fieldpost.a import b\n", "a": "c = 1\n"},
            "imports b from fieldpost.a, which does not define it",
        ),
        ({"root": "from fieldpost import a\nx = a\n", "a": "b = 1\n"}, "a is used as an object"),
        (
            {"root": "from fieldpost.a import f\n\n\ndef f_(f):\n    pass\n", "a": "def f(): pass\n", "b": "f = 1\n"},
            None,
        ),
        (
            {
                "root": "from fieldpost.a import f\nfrom fieldpost import b\n\n\ndef g(f):\n    return f\n",
                "a": "def f(): pass\n",
                "b": "def f(): pass\n",
            },
            "'f' is bound in g as well",
        ),
        (
            {"root": "from time import sleep\nfrom fieldpost.a import b\n", "a": "from os import sleep\nb = 1\n"},
            "two places",
        ),
    ],
)
def test_what_cannot_be_taken_in_is_told(sources, reason):
    def build_it():
        return bundle({ROOM + name: text for name, text in sources.items()}, ROOM + "root")

    if reason is None:
        build_it()
    else:
        with pytest.raises(UserError, match=reason):
            build_it()


def test_classes_that_inherit_across_modules_never_share_a_private_name():
    modules = {
        "fieldpost.board": "class Board:\n    def __init__(self):\n        self._config = 1\n",
        "fieldpost.esp32": "from fieldpost.board import Board\n\n\nclass Port(Board):\n    def go(self):\n"
        "        self._partition = 2\n",
    }
    plans = plan(modules, [])
    assert plans["fieldpost.board"]["_config"] != plans["fieldpost.esp32"]["_partition"]
