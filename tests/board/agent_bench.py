"""What the tests of whole boards share: an emulated board with the agent on it, for a hub or broker of the test's."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from host_tools import boards
from host_tools.emulator import EmulatedBoard
from host_tools.flash import install
from host_tools.lab.hardware import board_shape
from host_tools.toolchain import firmware

SSID = "bench"


def identity(device: str, roots: Iterable[bytes], **proof: str) -> dict[str, Any]:
    """Return an identity.json. proof: key, or certificate and private_key, or username and password."""
    return {
        "device_id": device,
        "ca_der": [base64.b64encode(root).decode() for root in roots],
        "wifi_passwords": {SSID: "any"},
        **proof,
    }


@asynccontextmanager
async def board_with_agent(
    folder: Path,
    micropython: Path,
    port: int,
    who: dict[str, Any],
    hub: dict[str, Any] | None = None,
    kind: str = "emulator",
    **settings: Any,
) -> AsyncIterator[EmulatedBoard]:
    """Give a board that has been flashed and runs. port: of 127.0.0.1, where every name leads.

    who: its identity.json. kind: of board. hub: changes to the configuration's `hub`, as settings are to the rest.
    """
    spec = boards.load(kind)
    config = spec.device_config(
        device=who["device_id"], hub_host="localhost", hub_port=port, sample_interval_ms=100, wifi=[{"ssid": SSID}]
    )
    config["hub"].update(hub or {})
    if "provisioning" in config["hub"]:
        del config["hub"]["host"]
    config.update(settings)
    board = EmulatedBoard(folder / "board", who["device_id"], board_shape(spec), micropython, ("127.0.0.1", port))
    try:
        await board.power_on()
        tree = await asyncio.to_thread(firmware.build, folder / "firmware", print)
        await asyncio.to_thread(install, str(board.serial_port), tree, config, who, print)
        yield board
    finally:
        await board.close()
