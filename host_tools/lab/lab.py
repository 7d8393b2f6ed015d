"""A hub and an emulated board on one machine, built, flashed and running.

    MicroPython -> hub -> board -> firmware -> flash -> first reading

Everything of a lab lies in its folder; the board keeps its identity and its flash between runs, so that its
readings are numbered on.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from host_tools.audit import Finding, RingTail, judge, read_tail
from host_tools.boards import Board
from host_tools.dashboard.pages import Pages
from host_tools.emulator.board import EmulatedBoard
from host_tools.errors import UserError
from host_tools.flash import install
from host_tools.hub import Hub, read_messages
from host_tools.hub.service.admin import AdminApi
from host_tools.lab.folder import LabFolder
from host_tools.lab.hardware import board_in_shape, board_shape, ring_regions, unplug
from host_tools.lab.settings import Settings, check_same_hardware, remember
from host_tools.lab.watch import HubWatch
from host_tools.toolchain import firmware, micropython

FIRST_READING_S_MAX = 120.0  # a busy machine is slow, and a first connection that fails is tried again

_LAST_WORDS = 3
_SSID = "bench"  # the emulated access point takes any name and password

Report = Callable[[str], object]


class Lab:
    """A running lab; made by `running`. `hub`, `board` and `watch` are for the lab's own modules."""

    def __init__(self, folder: LabFolder, settings: Settings, spec: Board, hub: Hub, board: EmulatedBoard) -> None:
        self.folder = folder
        self.settings = settings
        self.hub = hub
        self.board = board
        self.device_id = folder.name
        self.spec = spec
        self.watch = HubWatch(self.device_id)
        hub.on_message(self.watch.note)

    @property
    def pins(self) -> dict[str, Any]:
        """The emulated pins by their configured names."""
        return {name: self.board.pins[pin["gpio"]] for name, pin in self.spec.pins.items()}

    async def send(self, command: str, arguments: dict[str, Any], message_id: str) -> None:
        """Hand a command to the hub, which keeps it until the board has acknowledged it."""
        body = json.dumps({"command": command, "arguments": arguments}, separators=(",", ":"))
        await self.hub.send(self.device_id, body.encode(), {}, message_id=message_id)

    def tails(self) -> list[RingTail]:
        """Return what the rings on the board's flash say now, of those that exist; reads the flash, asks nobody."""
        tails = (read_tail(region) for region in ring_regions(self.board, self.spec))
        return [tail for tail in tails if tail is not None]

    async def audit(self) -> Finding:
        """Weigh the hub's store against the flash."""
        tails = self.tails()  # first: what they call confirmed is then in the store for certain
        return await self.judge(tails)

    async def judge(self, tails: Sequence[RingTail]) -> Finding:
        """Weigh the hub's store against `tails`."""
        return await asyncio.to_thread(judge, self.device_id, read_messages(self.folder.hub), tails)

    def unplug_sensor(self) -> None:
        """End the readings: the sensor comes off the bus once none is under way."""
        unplug(self.board.i2c, self.spec.sensors[0]["address"], self.board.bme280)

    async def await_first_reading(self) -> None:
        """Wait until a reading has arrived at the hub. Raises UserError if none comes."""
        if await self.watch.first_reading(FIRST_READING_S_MAX):
            return
        raise UserError(
            f"no reading arrived in {FIRST_READING_S_MAX:g} s; look at the board's last words: {self.last_words()}"
        )

    def last_words(self) -> str:
        """Return the end of what the board printed, on one line."""
        return " | ".join(list(self.board.console)[-_LAST_WORDS:]) or "none"

    def config(self) -> dict[str, Any]:
        """Return the board's config.json."""
        return self.spec.device_config(
            device=self.device_id,
            hub_host=self.hub.hostname,
            hub_port=self.hub.port,
            sample_interval_ms=self.settings.sample_interval_ms,
            wifi=[{"ssid": _SSID}],
        )

    def identity(self) -> dict[str, Any]:
        """Return the board's identity.json: its key at the hub, and the hub's root certificate."""
        device = self.hub.devices.create(self.device_id)
        return {
            "device_id": self.device_id,
            "key": device.primary_key,
            "ca_der": base64.b64encode(self.hub.ca_der).decode(),
            "wifi_passwords": {_SSID: "any"},
        }


@asynccontextmanager
async def running(folder: LabFolder, settings: Settings, report: Report) -> AsyncIterator[Lab]:
    """Start a lab and give it once its board is flashed and has been reset; end everything afterwards.

    report: takes a line for each stage. Raises UserError if a stage fails; what was started is ended.
    """
    spec = board_in_shape(settings.board, settings.shape, settings.has_romfs)
    folder.claim()
    async with AsyncExitStack() as stack:
        stack.callback(folder.release)
        check_same_hardware(folder, settings)
        report("MicroPython")
        find = micropython.find_or_install_narrow if settings.word_bytes == 4 else micropython.find_or_install
        program = await asyncio.to_thread(find, report)
        report("hub")
        hub = Hub(folder.hub, port=settings.hub_port)
        await hub.start()
        stack.push_async_callback(hub.stop)
        page = AdminApi(hub, Pages(hub))
        stack.push_async_callback(page.stop)  # before the hub
        await page.start()
        report(f"hub listens on {hub.hostname}:{hub.port}")
        board = EmulatedBoard(
            folder.board,
            folder.name,
            board_shape(spec, settings.word_bytes),
            program,
            ("127.0.0.1", hub.port),
            seed=settings.seed,
        )
        stack.push_async_callback(board.close)
        remember(folder, settings)
        if settings.verbose:
            board.on_line(lambda line: report(f"board: {line}"))
        lab = Lab(folder, settings, spec, hub, board)
        await board.power_on()
        report("firmware")
        tree = await asyncio.to_thread(firmware.build, folder.firmware, report, user_commands=settings.user_commands)
        report("flashing the board with mpremote")
        await asyncio.to_thread(install, str(board.serial_port), tree, lab.config(), lab.identity(), report)
        yield lab
