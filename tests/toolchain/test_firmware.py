"""The tree that goes onto a board: what is in it, and that a second build does only what is needed."""

import os
import subprocess
from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.toolchain import firmware


def test_the_tree_runs_on_micropython(tmp_path: Path, micropython: Path) -> None:
    tree = firmware.build(tmp_path / "tree", lambda line: None)
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert {"boot.py", "main.py", "fieldpost/core.mpy", "fieldpost/config.mpy", "lib/umqtt/simple.mpy"} <= names
    assert {name for name in names if name.endswith(".py")} == {"boot.py", "main.py"}
    assert "fieldpost/ports/linux.mpy" not in names
    done = subprocess.run(
        [micropython, "-c", "import adafruit_bme280.basic, fieldpost.core, fieldpost.config, umqtt.simple"],
        env={"MICROPYPATH": f"{tree}:{tree}/lib"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_build_compiles_what_changed_and_removes_what_is_foreign(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    firmware.build(tree, lambda line: None)
    core = tree / "fieldpost" / "core.mpy"
    os.utime(core, (0, 0))  # older than the compiler
    (tree / "fieldpost" / "retired").mkdir()
    (tree / "fieldpost" / "retired" / "old.mpy").touch()
    said: list[str] = []
    firmware.build(tree, said.append)
    assert said == ["compiled 1 modules"]
    assert not (tree / "fieldpost" / "retired").exists()
    firmware.build(tree, said.append)
    assert len(said) == 1


def test_a_source_that_does_not_compile_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot compile fieldpost/broken.py for boards: SyntaxError"):
        firmware.compile_module("def f(:\n", tmp_path / "broken.mpy", Path("fieldpost/broken.mpy"), tmp_path / "texts")
    assert not (tmp_path / "broken.mpy").exists() and not list(tmp_path.rglob("*.partial"))
