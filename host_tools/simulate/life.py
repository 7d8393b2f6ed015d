"""One simulated life: storms of faults, then calm in which everything must come to rest, and storms again."""

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from fieldpost.limits import BATCH_BYTES_MIN, IDLE_WAIT_MS_MAX, SENML_BYTES_MIN

from host_tools.emulator.nor_flash import PowerCut
from host_tools.simulate.device import DEVICE_ID, IDLE_STRIDE_MS_MAX, ORDERS, Device, Settings
from host_tools.simulate.flash import Runaway, SimulatedFlash
from host_tools.simulate.hub import Hub
from host_tools.simulate.judges import PromiseBroken
from host_tools.simulate.judges.bench import Bench
from host_tools.simulate.judges.stream import Stream
from host_tools.simulate.network import Network
from host_tools.simulate.pins import OutputPin
from host_tools.simulate.sensor import Sensor
from host_tools.simulate.storm import Storm
from host_tools.simulate.supply import Supply
from host_tools.simulate.world import World, clock_text

YEAR_MS = 365 * 24 * 3600 * 1000
CALM_MS_MAX = 20 * 60_000  # within this time after the last fault nothing may wait any more
PULSE_PINS = 6
LEVEL_PINS = 3
_WAIT_STRIDE_MS_MAX = 4_000  # while an answer is waited for
_CALM_STRIDE_MS_MAX = 2_000


@dataclass
class Outcome:
    """What became of one seed. failure: what was broken and when, or None."""

    seed: int
    device_ms: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    power_cuts: int = 0
    delivered: int = 0
    lost: int = 0
    repeated: int = 0
    commands: int = 0
    failure: str | None = None
    cpu_s: float = field(default=0.0, compare=False)  # processor time that it took


class Life:
    """A world with one device in it."""

    def __init__(self, seed: int, on_trace: Callable[[str], None] | None = None) -> None:
        self.world = world = World(seed, on_trace)
        self.bench = Bench()
        self.supply = Supply(world)
        self.network = Network(world)
        self.sensor = Sensor(world, self.supply)
        self.hub = Hub(world, self.network, DEVICE_ID, self.bench.message, self.bench.orders.settled)
        self.settings = _drawn_settings(world)
        self.flash_may_rot = world.chance(0.25)
        unit_bytes = world.random.choice((1, 1, 4, 16))
        # Small ones are full sooner: more sectors are opened, given away and erased in the same time.
        sector_bytes = world.random.choice((512, 512, 512, 1024, 1024, 1024, 2048, 4096))
        if sector_bytes < 1024:
            self.settings.journal_sectors *= 2  # it holds more ids than commands can pass one by
        self.flash = SimulatedFlash(
            (self.settings.journal_sectors + self.settings.urgent_sectors + self.settings.queue_sectors) * sector_bytes,
            sector_bytes,
            unit_bytes,
            world.chance(0.5),
            seed,
            strict=not self.flash_may_rot,
        )
        names = [f"pulse{index}" for index in range(PULSE_PINS)] + [f"level{index}" for index in range(LEVEL_PINS)]
        self.pins = {name: OutputPin(name, self.supply, self._edge) for name in names}
        self.device: Device | None = None
        self.power_cuts = 0
        self.off_ms_max = 1_000
        self.is_calm = False
        self._wake_ms = 0
        self._stride_ms = 0
        self._work = 0

    # --- the device and its power ----------------------------------------------------------------------

    def power_on(self) -> None:
        """Boot, unless it runs already; faults planned for the boot may strike inside it."""
        if self.device is not None:
            return
        try:
            self.device = Device(
                self.world,
                self.settings,
                self.flash,
                self.pins,
                self.sensor,
                self.network,
                self.supply,
                self.bench,
                self._wake,
            )
        except PowerCut:
            self._off("in its boot")
            return
        self._wake_ms = self.world.now_ms
        self._stride_ms = 0

    def cut_power(self) -> None:
        """Cut the power between two things that the device does."""
        if self.device is not None:
            self._off("while it waited")

    def _off(self, when: str) -> None:
        """What is not in flash is gone; the power comes back after a while."""
        world = self.world
        self.power_cuts += 1
        world.fault("power cut", when)
        self.bench.damage()
        device, self.device = self.device, None
        if device is not None:
            device.link.without_power()
        for connection in self.network.connections:
            connection.lose_device_end()
        for pin in self.pins.values():
            pin.without_power()
        self.flash.power_up()
        self.supply.restored()
        world.after(world.spread(50, self.off_ms_max), self.power_on)

    def _step(self) -> None:
        device = self.device
        assert device is not None
        self.flash.begin_step()
        given_before = self.sensor.newest
        try:
            wait_ms = device.step()
        except PowerCut:
            self._given_since(given_before)
            self._off("in a step")
            return
        self._given_since(given_before)
        stalled = device.stalled()
        if stalled is not None:
            raise PromiseBroken(f"the watchdog starves: {stalled} does nothing")
        self._wake_ms = self.world.now_ms + max(1, min(wait_ms, self._stride(device)))

    def _stride(self, device: Device) -> int:
        """Return how long to wait at the most, in ms, before the agent is called again: ever longer while it is idle.

        Readings and pulses are met in time, other deadlines late, but no later than after twice the time that they
        take.
        """
        work = self.flash.programs + self.flash.erases + device.link.calls
        if work != self._work:
            self._work = work
            self._stride_ms = IDLE_WAIT_MS_MAX
            return IDLE_WAIT_MS_MAX
        limit_ms = IDLE_STRIDE_MS_MAX
        if self.is_calm:
            limit_ms = _CALM_STRIDE_MS_MAX
        elif device.link.awaits_something:
            limit_ms = _WAIT_STRIDE_MS_MAX
        self._stride_ms = min(max(2 * self._stride_ms, IDLE_WAIT_MS_MAX), limit_ms)
        return self._stride_ms

    def _given_since(self, before: object) -> None:
        newest = self.sensor.newest
        if newest is not None and newest is not before:
            self.bench.given(newest.count, newest.values, newest.utc_ms)

    def _wake(self) -> None:
        self._wake_ms = self.world.now_ms

    def _edge(self, pin: str, level: int) -> None:
        if self.world.is_traced:
            self.world.trace(f"pin {pin} = {level}")
        self.bench.orders.edge(pin, level, self.world.now_ms)

    # --- time ------------------------------------------------------------------------------------------

    def run_until(self, end_ms: int, is_done: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen up to `end_ms`, or until `is_done` says so."""
        world = self.world
        while not is_done():
            event_ms = world.next_event_ms
            wake_ms = self._wake_ms if self.device is not None else None
            if wake_ms is not None and (event_ms is None or wake_ms < event_ms):
                if wake_ms > end_ms:
                    break
                world.now_ms = max(wake_ms, world.now_ms)
                self._step()
            elif event_ms is not None and event_ms <= end_ms:
                world.happen()
            else:
                break
        else:
            return
        world.now_ms = max(world.now_ms, end_ms)

    def calm_down(self) -> None:
        """End all faults; everything given up to now must be settled within CALM_MS_MAX."""
        world = self.world
        self.is_calm = True
        world.trace("calm")
        self._wake()
        targets = {stream: stream.newest for stream in self.bench.streams.values()}
        self.run_until(world.now_ms + CALM_MS_MAX, lambda: self._is_settled(targets))
        for stream, newest in targets.items():
            if stream.through < newest:
                raise PromiseBroken(
                    f"{stream.ring_id}: {CALM_MS_MAX // 1000} s after the last fault {newest - stream.through} "
                    f"records still wait: {stream.through} of {newest} are settled"
                )
        self.bench.rest()
        self.is_calm = False

    def _is_settled(self, targets: dict[Stream, int]) -> bool:
        return self.bench.orders.is_at_rest and all(stream.through >= newest for stream, newest in targets.items())


def live(seed: int, years: float, on_trace: Callable[[str], None] | None = None) -> Outcome:
    """Live one life of `years` and tell what became of it; a broken promise ends it."""
    life = Life(seed, on_trace)
    outcome = Outcome(seed)
    began = time.process_time()
    storm = Storm(life)
    try:
        life.power_on()
        while life.world.now_ms < years * YEAR_MS:
            storm.rage()
            life.calm_down()
    except (PromiseBroken, Runaway) as broken:
        outcome.failure = f"{clock_text(life.world.now_ms)}: {broken}"
    except Exception:
        outcome.failure = f"{clock_text(life.world.now_ms)}: the core raised\n{traceback.format_exc()}"
    outcome.cpu_s = time.process_time() - began
    outcome.device_ms = life.world.now_ms
    outcome.faults = life.world.faults
    outcome.power_cuts = life.power_cuts
    for stream in life.bench.streams.values():
        outcome.delivered += stream.delivered
        outcome.lost += stream.lost
        outcome.repeated += stream.repeated
    outcome.commands = life.bench.orders.judged
    return outcome


def _drawn_settings(world: World) -> Settings:
    draw = world.random
    encoding = draw.choice(("json", "json", "cbor", "senml"))
    order = draw.choice(("oldest", "oldest", *ORDERS))
    return Settings(
        journal_sectors=3,
        urgent_sectors=draw.choice((6, 6, 12)),
        queue_sectors=draw.choice((4, 6, 8, 16, 16, 32, 64)),
        sample_interval_ms=1000,
        window=draw.choice((1, 2, 4, 8, 16)),
        # What is live goes first: where messages carry less than what comes, a backlog would wait for ever.
        records_max=draw.choice((1, 4, 10, 40, 100) if order == "oldest" else (10, 40, 100)),
        bytes_max=draw.choice((SENML_BYTES_MIN if encoding == "senml" else BATCH_BYTES_MIN, 2048, 4000)),
        age_ms=draw.choice((0, 500, 5_000, 60_000)),
        keepalive_s=draw.choice((5, 30, 240, 1177)),
        encoding=encoding,
        order=order,
    )
