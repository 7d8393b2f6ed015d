"""Installs the agent on a board with MicroPython, real or emulated, over its serial port.

    stop the agent -> reset -> remove what is stale -> copy -> reset

The file that starts the agent, main.py, goes first and comes last: a board whose flashing is cut short stays
idle and can be flashed again. Files that are on the board already are not sent again.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from host_tools.errors import UserError
from host_tools.flash import board_scripts, mpremote
from host_tools.toolchain import Report

_STARTS_IT = "main.py"


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
    answers = mpremote.run(port, ["exec", board_scripts.prepare(config["port"]), "reset"], patience=patience)
    if board_scripts.FITS not in answers:
        raise UserError(next(iter(answers), f"the board on {port} said nothing: try again"))
    files = [PurePosixPath(path.relative_to(tree)) for path in sorted(tree.rglob("*")) if path.is_file()]
    size_bytes = sum((tree / path).stat().st_size for path in files)
    report(f"copying {len(files)} files, {(size_bytes + 1023) // 1024} KiB")
    # Secrets travel in files that only this user can read, never on a command line.
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as private:
        settings = [_write(Path(private) / "config.json", config)]
        if identity is not None:
            settings.append(_write(Path(private) / "identity.json", identity))
        sources = [path for path in sorted(tree.iterdir()) if path.name != _STARTS_IT]
        commands = ["exec", board_scripts.remove_stale(files), "+", "fs", "cp", "-r"]
        commands += [str(path) for path in [*sources, *settings, tree / _STARTS_IT]]
        mpremote.run(port, [*commands, ":", "+", "reset"], patience=patience)
    report("the board restarts with the agent")


def _write(path: Path, value: Mapping[str, Any]) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, separators=(",", ":")))
    return path
