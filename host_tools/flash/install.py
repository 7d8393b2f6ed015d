"""Installs the agent on a board with MicroPython, real or emulated, over its serial port.

    stop the agent -> reset -> modules to ROMFS, where there is such -> remove what is stale -> copy -> reset

The file that starts the agent, main.py, goes first and comes last: a board whose flashing is cut short stays
idle and can be flashed again. Files that are on the board already are not sent again, nor is a ROMFS that it has.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from host_tools.errors import UserError
from host_tools.flash import board_scripts, mpremote
from host_tools.toolchain import Report, firmware, romfs

_STARTS_IT = "main.py"
_COMES_FIRST = "boot.py"


def install(
    port: str,
    tree: Path,
    config: Mapping[str, Any],
    identity: Mapping[str, Any] | None,
    report: Report,
    patience: float = 1.0,
) -> None:
    """Put `tree` (built by toolchain.firmware), config.json and identity.json on the board and restart it.

    port: a serial device, or anything else that mpremote can connect to. identity: None leaves the one that the
    board has. report: takes a line for each stage. patience: as mpremote.run has it. UserError if the board is not
    there, does not fit `config`, or refuses.
    """
    mpremote.check_port(port)
    report("stopping what runs on the board")
    commands, rom = ["exec", board_scripts.prepare(config["port"])], b""
    if config["port"] == "esp32":
        rom = romfs.image_of_agent(tree)
        commands += ["exec", board_scripts.measure_romfs(len(rom))]
    answers = mpremote.run(port, [*commands, "reset"], patience=patience)
    if board_scripts.FITS not in answers:
        raise UserError(next(iter(answers), f"the board on {port} said nothing: try again"))
    files = [PurePosixPath(path.relative_to(tree)) for path in sorted(tree.rglob("*")) if path.is_file()]
    elsewhere: list[PurePosixPath] = []
    is_in_rom = _bring_romfs(port, rom, answers, report, patience)
    if is_in_rom:
        files, elsewhere = [PurePosixPath(_STARTS_IT)], [path for path in files if str(path) not in firmware.PLAIN]
    size_bytes = sum((tree / path).stat().st_size for path in files)
    report(f"copying {len(files)} files, {(size_bytes + 1023) // 1024} KiB")
    # Secrets travel in files that only this user can read, never on a command line.
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as private:
        settings = [_write(Path(private) / "config.json", config)]
        if identity is not None:
            settings.append(_write(Path(private) / "identity.json", identity))
        if is_in_rom:
            settings.append(Path(private) / _COMES_FIRST)
            settings[-1].write_text(board_scripts.check_romfs(rom))
        wanted = {path.parts[0] for path in files} - {_STARTS_IT}
        sources = [tree / name for name in sorted(wanted)]
        commands = ["exec", board_scripts.remove_stale(files, elsewhere), "+", "fs", "cp", "-r"]
        commands += [str(path) for path in [*sources, *settings, tree / _STARTS_IT]]
        mpremote.run(port, [*commands, ":", "+", "reset"], patience=patience)
    report("the board restarts with the agent")


def _bring_romfs(port: str, rom: bytes, answers: list[str], report: Report, patience: float) -> bool:
    """Put the modules into ROMFS if they are not there, and return whether the board has a place for them.

    answers: what it said of that. UserError if they have no room there, or are not whole there afterwards.
    """
    room, held = _in_romfs(answers)
    if room == 0:
        return False
    if len(rom) > room:
        raise UserError(
            f"the modules have {len(rom)} bytes, the board's partition romfs {room}: put MicroPython on it again with "
            "--firmware FILE, which makes it larger"
        )
    wanted = hashlib.sha256(rom).hexdigest()
    if held == wanted:
        report("what belongs into ROMFS is there already")
        return True
    report(f"writing the modules to ROMFS, {(len(rom) + 1023) // 1024} KiB")
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
        path = Path(work) / "agent.romfs"
        path.write_bytes(rom)
        mpremote.run(port, ["romfs", "deploy", str(path), "+", "reset"], patience=patience)
    # After the reset, so that no cache stands between.
    answers = mpremote.run(port, ["exec", board_scripts.measure_romfs(len(rom))], patience=patience)
    if _in_romfs(answers)[1] != wanted:
        raise UserError(
            f"the modules are not whole in the ROMFS of the board on {port}: run the same command again; if that "
            "does not help, its flash is worn out"
        )
    return True


def _in_romfs(answers: list[str]) -> tuple[int, str]:
    """Return the bytes of partition romfs, 0 if there is none, and the SHA-256 that the board has found there."""
    for line in answers:
        if line.startswith(board_scripts.IN_ROMFS):
            room, held = line.removeprefix(board_scripts.IN_ROMFS).split()
            return int(room), held
    return 0, ""


def _write(path: Path, value: Mapping[str, Any]) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, separators=(",", ":")))
    return path
