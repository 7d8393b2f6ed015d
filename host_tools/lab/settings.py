"""What a user can choose about a lab, and what of it must be known again when the lab does not run."""

import json
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.lab.folder import LabFolder

_FILE = "lab.json"


@dataclass(frozen=True)
class Settings:
    """board: a folder of boards/; shape: another whose hardware the emulated board takes on.

    hub_port: 0 for any free one. seed: of everything that goes wrong on purpose.
    verbose: report every line that the board prints. word_bytes: of the interpreter that is the board, 4 or 8.
    user_commands: a file with commands of the user's own, for the board. has_romfs: whether the board's firmware runs
    code in ROMFS.
    """

    board: str = "emulator"
    shape: str | None = None
    sample_interval_ms: int = 1000
    hub_port: int = 0
    seed: int = 0
    verbose: bool = False
    word_bytes: int = 8
    user_commands: Path | None = None
    has_romfs: bool = False


def remember(folder: LabFolder, settings: Settings) -> None:
    """Note what the flash image in the folder belongs to."""
    text = json.dumps({"board": settings.board, "shape": settings.shape, "romfs": settings.has_romfs})
    partial = folder.path / (_FILE + ".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(folder.path / _FILE)


def check_same_hardware(folder: LabFolder, settings: Settings) -> None:
    """Raise UserError if the flash image in the folder belongs to other hardware than `settings` ask for."""
    if not (folder.path / _FILE).exists():
        return
    noted = remembered(folder)
    if (noted.board, noted.shape, noted.has_romfs) != (settings.board, settings.shape, settings.has_romfs):
        shape = "no --shape" if noted.shape is None else f"--shape {noted.shape}"
        shape += " and --romfs" if noted.has_romfs else " and no --romfs" if settings.has_romfs else ""
        raise UserError(f"board '{folder.name}' was made with {shape}: use that again, or choose another --name")


def remembered(folder: LabFolder) -> Settings:
    """Return the settings that matter for the flash image. Raises UserError if nothing was noted."""
    path = folder.path / _FILE
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return Settings(board=noted["board"], shape=noted["shape"], has_romfs=noted.get("romfs", False))
    except FileNotFoundError:
        raise UserError(
            f"there is no board '{folder.name}' on this machine: start it with ./flash.sh emulator"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and start the board once") from error
