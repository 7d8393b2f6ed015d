"""What a board says of itself at MicroPython's prompt."""

import json
from dataclasses import dataclass, field
from typing import Any

from host_tools.errors import UserError
from host_tools.flash import board_scripts, mpremote


@dataclass(frozen=True)
class About:
    """port: MicroPython's name of the machine. device, board, hub, networks: what the agent was configured with.

    partitions: of an ESP32, label to (offset, size) in bytes; empty elsewhere.
    """

    port: str
    version: tuple[int, ...]
    device: str | None = None
    board: str | None = None
    hub: tuple[str, int] | None = None
    networks: tuple[str, ...] = ()
    has_identity: bool = False
    partitions: dict[str, tuple[int, int]] = field(default_factory=dict)


def ask(port: str, attempts: int = 1, patience: float = 1.0) -> About | None:
    """Return what the board on `port` says, None if there is no MicroPython. Stops the program that runs there.

    UserError if the port is absent, closed to this user, or in use.
    """
    mpremote.check_port(port)
    try:
        said = mpremote.run(port, ["exec", board_scripts.ask_about], attempts, patience)
    except UserError as error:
        if "does not answer" in str(error):
            return None
        raise
    for line in said:
        if line.startswith(board_scripts.ABOUT):
            return _about(json.loads(line[len(board_scripts.ABOUT) :]))
    return None


def _about(told: dict[str, Any]) -> About:
    hub = told.get("hub")
    return About(
        port=told["port"],
        version=tuple(told["version"]),
        device=told.get("device"),
        board=told.get("board"),
        hub=None if hub is None else (hub[0], hub[1]),
        networks=tuple(told.get("networks", ())),
        has_identity=told.get("has_identity", False),
        partitions={label: (offset, size) for offset, size, label in told.get("partitions", [])},
    )
