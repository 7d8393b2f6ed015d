"""One device through its boots: the agent's core as fieldpost.assembly puts it together, on simulated parts.

The one place of the simulator that knows how the core is assembled.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.commands.context import Context
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary
from fieldpost.hubs.azure import AzureDialect
from fieldpost.limits import BATCH_BYTES_MIN, HEALTHY_AGE_MS_MAX, STAMP_BYTES, URGENT_WINDOW_BATCHES
from fieldpost.records import schema
from fieldpost.records.cbor_body import CborBody
from fieldpost.records.earlier import confirmed_ms, last_boot
from fieldpost.records.json_body import JsonBody
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.senml_body import SenmlBody
from fieldpost.records.timeline import Timeline
from fieldpost.ring import log as ring_log
from fieldpost.ring.layout import divide
from fieldpost.ring.log import Ring
from fieldpost.ring.region import SubRegion
from fieldpost.uplink.ahead import LiveFirstLane
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.pace import Pace
from fieldpost.uplink.session import Session

from host_tools.simulate.flash import SimulatedFlash
from host_tools.simulate.judges.bench import Bench
from host_tools.simulate.link import SimulatedLink
from host_tools.simulate.network import Network
from host_tools.simulate.pins import SAFE, OutputPin
from host_tools.simulate.sensor import Sensor
from host_tools.simulate.supply import Supply
from host_tools.simulate.world import TICKS_PERIOD, World

HOST = "hub.invalid"
DEVICE_ID = "simulated"
_KEY = "c2ltdWxhdGVkIGtleSwgbm8gc2VjcmV0"  # signs tokens that nobody checks
PULSE_MS_MAX = 60_000
FORMS: dict[str, Any] = {"json": JsonBody, "cbor": CborBody, "senml": SenmlBody}
ORDERS = ("oldest", "live", "newest")
# The longest that a step says may pass until the next. The agent counts as sensing while nothing is due for longer.
IDLE_STRIDE_MS_MAX = HEALTHY_AGE_MS_MAX // 2 - 1_000


@dataclass
class Settings:
    """What config.json would say, within its limits, and the size of the flash."""

    journal_sectors: int
    urgent_sectors: int
    queue_sectors: int
    sample_interval_ms: int
    window: int
    records_max: int
    bytes_max: int
    age_ms: int
    keepalive_s: int
    encoding: str
    order: str


class Device:
    """Everything of one boot that the power takes with it. Raises PowerCut from wherever the cut comes."""

    def __init__(
        self,
        world: World,
        settings: Settings,
        flash: SimulatedFlash,
        pins: dict[str, OutputPin],
        sensor: Sensor,
        network: Network,
        supply: Supply,
        bench: Bench,
        wake: Any,
    ) -> None:
        self._world = world
        self._bench = bench
        self._network = network
        # Ring ids come from the seed.
        setattr(ring_log, "os", SimpleNamespace(urandom=world.random.randbytes))  # noqa: B010
        config = {"sample_interval_ms": settings.sample_interval_ms, "idle_wait_ms": IDLE_STRIDE_MS_MAX}
        # An oscillator is off by as much as its data sheet allows, and starts anywhere.
        self._drift_ppm = world.random.randint(-20, 20)
        self._started_ms = world.now_ms
        self._ticks_offset = world.random.randrange(TICKS_PERIOD)
        self.clock = Clock(self._ticks())
        dialect = AzureDialect(HOST, DEVICE_ID, _KEY, self.clock.signing_ms)
        self.link = SimulatedLink(world, network, supply, settings.keepalive_s, wake)
        parts = divide(flash, settings.journal_sectors, settings.urgent_sectors)
        scratch = memoryview(bytearray(2 * flash.page_bytes))
        journal = Ring(parts[0], scratch)
        self.urgent = self._opened(parts[1], scratch, flash.erase_count, settings.journal_sectors, True)
        before = settings.journal_sectors + settings.urgent_sectors
        self.ring = self._opened(parts[2], scratch, flash.erase_count, before, settings.order == "oldest")
        boot = max(last_boot(self.ring), last_boot(self.urgent)) + 1
        self.clock.begin_at(max(confirmed_ms(self.ring), confirmed_ms(self.urgent)))
        schemas = Schemas()
        timelines = Timeline(), Timeline()
        self.agent = Agent(
            config,
            Recorder(self.ring, boot, self.clock, timelines[0]),
            Recorder(self.urgent, boot, self.clock, timelines[1]),
            self.clock,
            schemas,
            sensor.make,
            network,
            self._ask_time_ms,
            world.trace,
        )
        pin_settings = {
            name: {"direction": "output", "safe": SAFE, "commands": _commands_of(name), "pulse_max_ms": PULSE_MS_MAX}
            for name in pins
        }
        self.outputs = Outputs(pin_settings, pins)
        self.commands = Commands(
            Vocabulary(pin_settings),
            Context(self.outputs, self.ring, self.agent, tuple),
            Journal(journal),
            self.agent.answer,
            self.clock.utc_ms,
        )
        window, records_max = settings.window, settings.records_max
        form = FORMS[settings.encoding]
        dialect.event_properties = form.properties
        readings = form(self.ring, timelines[0], schemas)
        urgent = form(self.urgent, timelines[1], schemas)
        size = window, records_max, settings.bytes_max, settings.age_ms
        lanes = (
            Lane(self.urgent, urgent, min(URGENT_WINDOW_BATCHES, window), records_max, BATCH_BYTES_MIN, 0),
            Lane(self.ring, readings, *size)
            if settings.order == "oldest"
            else LiveFirstLane(self.ring, readings, *size, settings.order == "newest"),
        )
        lanes[1].pace = Pace()
        self.outbox = Outbox(lanes, dialect)
        self.session = Session(
            self.link, self.outbox, dialect, self.commands, Backoff(lambda limit: world.random.randrange(limit))
        )
        self.commands.done_callback = self.session.command_done
        self.agent.connect(self.session, self.commands)
        world.trace(
            f"boot {boot}: ring {self.ring.ring_id:08x}, next {self.ring.next_number}, cursor {self.ring.cursor}"
        )
        self.agent.begin("power")

    def step(self) -> int:
        """Do what is due; return in how many ms the agent wants to be called again."""
        wait_ms: int = self.agent.step(self._ticks())
        return wait_ms

    def stalled(self) -> str | None:
        """Return what the watchdog is not fed for, or None."""
        duty: str | None = self.agent.stalled()
        return duty

    def _ticks(self) -> int:
        elapsed_ms = self._world.now_ms - self._started_ms
        elapsed_ms += elapsed_ms * self._drift_ppm // 1_000_000
        return (self._ticks_offset + elapsed_ms) % TICKS_PERIOD

    def _ask_time_ms(self) -> int:
        if not self._network.time_server_answers or self._network.state != "good":
            raise OSError("no answer")
        return self._world.utc_ms

    def _opened(
        self,
        region: SubRegion,
        scratch: memoryview,
        erase_count: Callable[[int, int], int],
        first_sector: int,
        in_order: bool,
    ) -> Ring:
        """Return the Ring of a region; the judges hear of each append that returns.

        in_order: whether its records are to arrive in the order of their numbers.
        """
        ring = Ring(region, scratch)
        last_sector = first_sector + region.sector_count
        stream = self._bench.ring(
            f"{ring.ring_id:08x}", region.sector_count, lambda: erase_count(first_sector, last_sector), in_order
        )
        append = ring.append

        def heard(kind: int, payload: memoryview, sync: bool = True) -> int:
            number: int = append(kind, payload, sync)
            stream.appended(number, _what(kind, payload))
            return number

        setattr(ring, "append", heard)  # noqa: B010
        return ring


def _what(kind: int, payload: memoryview) -> Any:
    """Return what makes a record known again: the count of a reading, the id of an answered command, else None."""
    data = bytes(payload)[STAMP_BYTES:]
    if kind == schema.READING:
        return int.from_bytes(data[2:6], "little")
    if kind == schema.RESULT:
        return json.loads(data)["id"]
    return None


def _commands_of(pin: str) -> tuple[str, ...]:
    return ("gpio.pulse",) if pin.startswith("pulse") else ("gpio.set", "gpio.get")
