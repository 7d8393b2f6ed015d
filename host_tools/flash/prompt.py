"""What a board says of itself at MicroPython's prompt."""

import json
from dataclasses import dataclass, field
from typing import Any

from host_tools.boards import ROMFS
from host_tools.errors import UserError
from host_tools.flash import board_scripts, mpremote


@dataclass(frozen=True)
class About:
    """port: MicroPython's name of the machine. device, board, hub, networks: what the agent was configured with.

    partitions: of an ESP32, label to (offset, size) in bytes; empty elsewhere. can_romfs: whether an ESP32's firmware
    runs code in ROMFS; it has a place for it where there is a partition of that name. code: the folder that the agent's
    modules would be imported from, None if there are none.
    """

    port: str
    version: tuple[int, ...]
    device: str | None = None
    board: str | None = None
    hub: tuple[str, int] | None = None
    networks: tuple[str, ...] = ()
    has_identity: bool = False
    partitions: dict[str, tuple[int, int]] = field(default_factory=dict)
    can_romfs: bool = False
    code: str | None = None

    @property
    def has_romfs(self) -> bool:
        """Whether the agent's modules go to ROMFS."""
        return self.can_romfs and ROMFS in self.partitions


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
        can_romfs=told.get("can_romfs", False),
        code=told.get("code"),
    )
