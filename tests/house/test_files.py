"""What must not be in the project's files: the place where they were written, and package hosts.

Goal: a clone works anywhere, behind any mirror or proxy. Method: search every text file that git tracks.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Written in two pieces, so that this file does not hold what it looks for.
_PACKAGE_HOSTS = ["py" + "pi.org", "python" + "hosted.org", "deb." + "debian.org", "archive." + "ubuntu.com"]
_MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "../sha" + "red", "/tmp" + "/"]
# Tests name absolute paths on purpose, to show that they are refused or passed on.
_PATHS_ALLOWED_BELOW = ("tests/",)


def _tracked() -> list[str]:
    if shutil.which("git") is None:
        pytest.skip("git is not here: there is no list of the project's files")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: there is no list of the project's files")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def _found(patterns: list[str], names: list[str]) -> list[str]:
    complaints = []
    for name in names:
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        complaints += [f"{name} holds {pattern}" for pattern in patterns if pattern in text]
    return complaints


def test_no_file_names_a_package_host() -> None:
    assert _found(_PACKAGE_HOSTS, _tracked()) == []


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    names = [name for name in _tracked() if not name.startswith(_PATHS_ALLOWED_BELOW)]
    assert _found(_MACHINE_PATHS, names) == []


def test_requirements_are_pinned_and_hashed() -> None:
    entries = (ROOT / "requirements.txt").read_text().replace("\\\n", " ").splitlines()
    packages = [entry for entry in entries if entry.strip() and not entry.lstrip().startswith("#")]
    assert len(packages) > 20
    for package in packages:
        assert "==" in package.split()[0] and "--hash=sha256:" in package, package
        assert "://" not in package, package


def test_shell_scripts_are_executable_and_parse() -> None:
    for name in ("flash.sh", "tests/run.sh", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111, f"{name} cannot be run"
    for name in ("flash.sh", "tests/run.sh", ".ci/run", "host_tools/setup.sh"):
        subprocess.run(["sh", "-n", str(ROOT / name)], check=True)
