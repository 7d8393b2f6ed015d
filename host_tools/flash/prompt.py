"""What a board says of itself at MicroPython's prompt."""

import json
from dataclasses import dataclass, field

from host_tools.errors import UserError
from host_tools.flash import board_scripts, mpremote


@dataclass(frozen=True)
class About:
    """port: MicroPython's name of the machine. device, board: what the agent there was configured as, if it was.

    partitions: of an ESP32, label to (offset, size) in bytes; empty elsewhere.
    """

    port: str
    version: tuple[int, ...]
    device: str | None = None
    board: str | None = None
    has_identity: bool = False
    partitions: dict[str, tuple[int, int]] = field(default_factory=dict)


def ask(port: str, attempts: int = 1) -> About | None:
    """Return what the board on `port` says, None if there is no MicroPython. Stops the program that runs there.

    UserError if the port is absent, closed to this user, or in use.
    """
    mpremote.check_port(port)
    try:
        said = mpremote.run(port, ["exec", board_scripts.ask_about], attempts)
    except UserError as error:
        if "does not answer" in str(error):
            return None
        raise
    for line in said:
        if line.startswith(board_scripts.ABOUT):
            return _about(json.loads(line[len(board_scripts.ABOUT) :]))
    return None


def _about(told: dict[str, object]) -> About:
    rows = told.get("partitions", [])
    assert isinstance(rows, list)
    version = told["version"]
    assert isinstance(version, list)
    device, board = told.get("device"), told.get("board")
    return About(
        str(told["port"]),
        tuple(version),
        None if device is None else str(device),
        None if board is None else str(board),
        bool(told.get("has_identity")),
        {label: (offset, size) for offset, size, label in rows},
    )
