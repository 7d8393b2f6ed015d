"""Installing: as a wheel for the host (pipx, uv tool), with mip for a board.

Goal: what is installed has everything that a checkout has. Method: the wheel is built from what git tracks,
unpacked, and run from there; mpremote installs from package.json onto an emulated board.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from host_tools.emulator.bare import BarePico, stand_in_firmware
from host_tools.toolchain import firmware, mip
from tests.flash.bare_bench import on_the_table, run_tool

ROOT = Path(__file__).parents[2]
_PROGRAM = """\
import sys, host_tools
from host_tools.cli import main
print(host_tools.__file__, file=sys.stderr)
main()
"""
_BUILD = """\
import sys
from pathlib import Path
from host_tools.toolchain import firmware
firmware.build(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation without a checkout beside it."""
    work = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what belongs to the project is not known")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (work / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, work / "source" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", work, work / "source"], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "site")
    return work / "site"


def _run(site: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(site), "XDG_STATE_HOME": str(site.parent / "state")}
    command = [sys.executable, "-c", _PROGRAM, *words]
    done = subprocess.run(command, cwd=site.parent, env=environment, capture_output=True, text=True, check=True)
    assert str(site) in done.stderr, "the checkout was run, not what was installed"
    return done.stdout


def test_an_installation_knows_the_boards_and_starts(unpacked: Path) -> None:
    assert "Pico W" in _run(unpacked, "boards")
    assert "provision" in _run(unpacked, "--help")
    (entry,) = unpacked.glob("fieldpost-*.dist-info/entry_points.txt")
    assert "fieldpost = host_tools.cli:main" in entry.read_text()


def test_an_installation_has_the_hubs_page(unpacked: Path) -> None:
    files = {path.name for path in (unpacked / "host_tools" / "dashboard" / "static").iterdir()}
    assert files == {path.name for path in (ROOT / "host_tools" / "dashboard" / "static").iterdir()}
    assert "--data" in _run(unpacked, "hub", "page", "--help")


def test_an_installation_builds_the_firmware(unpacked: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path / "installed")], env=environment, check=True, capture_output=True
    )
    here = firmware.build(tmp_path / "checkout", lambda line: None)
    assert _names(tmp_path / "installed") == _names(here)


def _names(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def test_package_json_names_every_file_of_the_agent() -> None:
    written = json.loads((ROOT / "package.json").read_text())
    assert written == mip.package(), "run `fieldpost mip`, and commit package.json"


async def test_mip_installs_the_agent(tmp_path: Path, micropython: Path) -> None:
    # What lies elsewhere cannot be fetched in a test: drivers and umqtt.simple.
    whole = mip.package()
    urls = [
        [target, os.path.relpath(ROOT / source, tmp_path)] for target, source in whole["urls"] if "://" not in source
    ]
    (tmp_path / "package.json").write_text(json.dumps({"version": "0", "urls": urls}))
    (tmp_path / "fw.uf2").write_bytes(stand_in_firmware("pico_w"))
    async with on_the_table("pico_w", tmp_path / "board", micropython) as board:
        assert isinstance(board, BarePico)
        (board.drive.path / "fw.uf2").write_bytes((tmp_path / "fw.uf2").read_bytes())
        async with asyncio.timeout(120):
            while board.state != "running":
                await asyncio.sleep(0.02)
        port = ["connect", board.serial_port]
        code, said = await run_tool("mpremote", *port, "mip", "install", tmp_path / "package.json")
        assert code == 0, said
        code, said = await run_tool("mpremote", *port, "exec", "import fieldpost.agent; print(fieldpost.__version__)")
        assert code == 0 and said.strip() == "0.1.0", said
