"""Which MicroPython is taken, and that a board could run on it."""

import subprocess
from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.toolchain import micropython as tool
from host_tools.toolchain import private_prefix
from host_tools.toolchain.apt_sources import Archive


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_what_is_found_runs_and_has_what_a_board_needs(micropython: Path) -> None:
    assert tool.is_usable(micropython)
    said = subprocess.run([micropython, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
    assert said.stdout == "42\n"


@pytest.mark.parametrize("script", ["echo 1 23", "echo 1 25; exit 1", "echo Python 3.11", "exit 0"])
def test_an_old_or_crippled_interpreter_is_not_usable(tmp_path: Path, script: str) -> None:
    assert not tool.is_usable(_program(tmp_path / "micropython", script))


def test_an_absent_interpreter_is_not_usable(tmp_path: Path) -> None:
    assert not tool.is_usable(tmp_path / "micropython")


def test_the_one_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(tmp_path / "bin" / "micropython", "echo 1 24")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert tool.find_or_install() == program


@pytest.mark.parametrize(
    ("version", "enough"),
    [("1.24.1+ds-1", True), ("1.25.0+ds-1", True), ("2:2.0-1", True), ("1.22.1+ds-1build2", False), ("(none)", False)],
)  # fmt: skip
def test_versions_of_packages(version: str, enough: bool) -> None:
    assert tool.is_new_enough(version) == enough


def test_without_a_network_the_user_is_told_which_mirror_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = "http://127.0.0.1:9/debian"  # the discard port: nobody listens
    monkeypatch.setattr(
        private_prefix.platform, "freedesktop_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    )  # fmt: skip
    monkeypatch.setattr(private_prefix.apt_sources, "read", lambda: [Archive(closed, ("bookworm",), ("main",), None)])
    monkeypatch.setattr(private_prefix, "_ATTEMPT_PAUSE_S", 0)
    said: list[str] = []
    with pytest.raises(UserError, match=rf"cannot download MicroPython: {closed} trixie: .*put a MicroPython"):
        private_prefix.fill(tmp_path, tmp_path, said.append)
    assert any("trying again" in line for line in said)


def test_a_system_without_a_known_package_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_prefix.platform, "freedesktop_os_release", lambda: {"ID": "arch"})
    with pytest.raises(UserError, match=r"put a MicroPython >= 1.24 on PATH"):
        private_prefix.fill(tmp_path, tmp_path, print)
