"""Faults of all kinds at random moments, and the commands that come in between.

A storm has its own pace: how often the device samples, how often something breaks and how long it stays broken
are drawn anew for each, over several orders of magnitude.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from host_tools.simulate import network
from host_tools.simulate.judges.orders import Order
from host_tools.simulate.network import Connection
from host_tools.simulate.sensor import SCHEMAS

if TYPE_CHECKING:
    from host_tools.simulate.life import Life

STRIKES_MAX = 500  # of one storm: calm, in which everything has to settle, costs as much as many of them
COMMANDS_OPEN_MAX = 8
STUCK_BITS_MAX = 3  # the smallest part has 32 pages, and each such bit costs one
BREAKS_MAX = 3  # connections in a row that break soon
_BUNCHED = 0.65  # so many strikes come with the one before: what coincides finds most, and costs least
_BUNCHED_MS_MAX = 50
LASTING_MS_MAX = 24 * 3600 * 1000


class Storm:
    """The weather of one life."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        self._world = life.world
        self._commands_sent = 0
        self._pace_ms = 1000
        self._ends: list[Callable[[], None]] = []  # what repairs the faults that still last
        self._kinds: list[tuple[int, Callable[[], None]]] = [
            (10, self._reset),
            (6, self._swallow),
            (6, self._black_hole),
            (5, self._absence),
            (4, self._congestion),
            (6, self._puback_lost),
            (4, self._throttle),
            (4, self._hub_restart),
            (4, self._latency),
            (4, self._parting),
            (4, self._silent_time_server),
            (3, self._sensor_failure),
            (3, self._no_wifi),
            (5, self._cut_now),
            (14, self._cut_in_flash),
            (6, self._cut_in_erase),
            (8, self._cut_in_action),
            (5, self._flutter),
            (20, self._commands),
        ]
        if life.flash_may_rot:
            self._kinds += [(2, self._rot), (1, self._stick)]

    def rage(self) -> None:
        """Let one storm pass, and repair everything at its end."""
        world, life = self._world, self._life
        draw = world.random
        life.settings.sample_interval_ms = world.spread(100, 21_600_000)
        life.off_ms_max = world.spread(100, 3_600_000)
        self._pace_ms = world.spread(100, 4 * life.settings.sample_interval_ms)
        if world.chance(0.2):
            life.sensor.generation = (life.sensor.generation + 1) % len(SCHEMAS)
        # A new configuration, or firmware, begins with a restart.
        life.cut_power()
        life.run_until(world.now_ms + 2 * life.off_ms_max, lambda: life.device is not None)
        # No two storms are of the same kind: what coincides rarely on average coincides often in some.
        weights = list(accumulate(weight * draw.random() ** 3 for weight, _ in self._kinds))
        for _ in range(draw.randint(1, STRIKES_MAX)):
            _, strike = draw.choices(self._kinds, cum_weights=weights)[0]
            strike()
            # Troubles rarely come alone.
            life.run_until(world.now_ms + world.spread(1, _BUNCHED_MS_MAX if world.chance(_BUNCHED) else self._pace_ms))
        self._end()

    def _end(self) -> None:
        life = self._life
        for end in self._ends:
            end()
        self._ends = []
        life.off_ms_max = 1_000
        life.flash.cancel_cut()
        life.supply.restored()
        life.network.breaks.clear()
        if life.device is None:
            life.power_on()

    def _lasting(self, kind: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """A fault that is over after a while, at the latest at the storm's end."""
        begin()
        duration_ms = min(self._world.spread(10, 20 * self._pace_ms), LASTING_MS_MAX)
        self._world.fault(kind, f"for {duration_ms} ms")
        self._ends.append(end)
        self._world.after(duration_ms, lambda: self._over(end))

    def _over(self, end: Callable[[], None]) -> None:
        if end in self._ends:
            self._ends.remove(end)
            end()

    # --- the way ---------------------------------------------------------------------------------------

    def _reset(self) -> None:
        self._break("connection reset", Connection.reset)

    def _swallow(self) -> None:
        self._break("half-open connection", Connection.swallow)

    def _break(self, kind: str, how: Callable[[Connection], None]) -> None:
        """Break what is whole, else the next connection soon after it has opened: what hits nothing is no fault."""
        life = self._life

        def strike() -> None:
            whole = life.network.whole()
            if whole and not life.is_calm:
                self._world.fault(kind)
                for connection in whole:
                    how(connection)

        if life.network.whole():
            strike()
        elif len(life.network.breaks) < BREAKS_MAX:
            life.network.breaks.append(strike)

    def _black_hole(self) -> None:
        self._set_state("black hole", network.BLACK_HOLE)

    def _absence(self) -> None:
        self._set_state("no way to the hub", network.ABSENT)

    def _set_state(self, kind: str, state: str) -> None:
        way = self._life.network

        def begin() -> None:
            way.state = state

        def end() -> None:
            way.state = network.GOOD

        self._lasting(kind, begin, end)

    def _congestion(self) -> None:
        way = self._life.network

        def begin() -> None:
            way.is_congested = True

        def end() -> None:
            way.is_congested = False

        self._lasting("nothing can be sent", begin, end)

    def _latency(self) -> None:
        way = self._life.network
        usual = network.LATENCY_MS

        def begin() -> None:
            way.latency_ms = (100, self._world.spread(1_000, 30_000))

        def end() -> None:
            way.latency_ms = usual

        self._lasting("slow way", begin, end)

    def _no_wifi(self) -> None:
        way = self._life.network

        def begin() -> None:
            way.is_up = False
            way.state = network.ABSENT
            way.swallow_all()

        def end() -> None:
            way.is_up = True
            way.state = network.GOOD

        self._lasting("no Wi-Fi", begin, end)

    # --- the hub ---------------------------------------------------------------------------------------

    def _puback_lost(self) -> None:
        self._life.hub.loses_next_puback = True

    def _throttle(self) -> None:
        hub = self._life.hub

        def begin() -> None:
            hub.puback_delay_ms = (100, self._world.spread(1_000, 60_000))

        def end() -> None:
            hub.puback_delay_ms = (1, 20)

        self._lasting("throttling", begin, end)

    def _parting(self) -> None:
        """What was sent before a reconnect arrives between what is sent after it."""
        hub, way = self._life.hub, self._life.network
        usual = network.LATENCY_MS

        def begin() -> None:
            hub.parts_late = True
            way.latency_ms = (5, self._world.spread(500, 30_000))

        def end() -> None:
            hub.parts_late = False
            way.latency_ms = usual

        self._lasting("late takeover", begin, end)

    def _hub_restart(self) -> None:
        self._lasting("hub restart", self._life.hub.stop, self._life.hub.start)

    # --- the board's surroundings ------------------------------------------------------------------------

    def _silent_time_server(self) -> None:
        way = self._life.network

        def begin() -> None:
            way.time_server_answers = False

        def end() -> None:
            way.time_server_answers = True

        self._lasting("time server silent", begin, end)

    def _sensor_failure(self) -> None:
        sensor = self._life.sensor

        def begin() -> None:
            sensor.is_broken = True

        def end() -> None:
            sensor.is_broken = False

        self._lasting("sensor failure", begin, end)

    # --- power and flash ---------------------------------------------------------------------------------

    def _cut_now(self) -> None:
        self._life.cut_power()

    def _cut_in_flash(self) -> None:
        self._plan_cut(self._world.spread(1, 60) - 1)

    def _plan_cut(self, operation: int) -> None:
        """Cut the power in a program or erase to come: between two bytes, with bits in disorder, or at its very end."""
        flash = self._life.flash
        way = self._world.random.randrange(3)
        if way == 0:
            flash.cut_late_at(operation)
        else:
            flash.cut_at(operation, scattered=way == 1)

    def _cut_in_erase(self) -> None:
        self._life.flash.cut_at_erase(self._world.spread(1, 4) - 1)

    def _cut_in_action(self) -> None:
        self._life.supply.cut_after(self._world.spread(1, 30) - 1)

    def _flutter(self) -> None:
        """The supply comes back and fails again within the first operations, several times."""
        life = self._life
        for _ in range(self._world.random.randint(2, 6)):
            life.cut_power()
            if self._world.chance(0.7):
                self._plan_cut(self._world.random.randrange(6))
            else:
                life.supply.cut_after(self._world.random.randrange(4))
            life.power_on()
            life.run_until(self._world.now_ms + self._world.spread(1, 2_000))

    def _rot(self) -> None:
        life = self._life
        index = life.settings.journal_sectors * life.flash.sector_bytes
        index += self._world.random.randrange(len(life.flash.memory) - index)
        self._world.fault("bit rot", f"at {index}")
        life.flash.rot(index, self._world.random.randrange(8))
        life.bench.damage()

    def _stick(self) -> None:
        life = self._life
        if life.world.faults["stuck bit"] == STUCK_BITS_MAX:
            return
        index = self._world.random.randrange(len(life.flash.memory))
        self._world.fault("stuck bit", f"at {index}")
        life.flash.stick(index, self._world.random.randrange(8))
        life.bench.damage()

    # --- commands ----------------------------------------------------------------------------------------

    def _commands(self) -> None:
        for _ in range(self._world.random.randint(1, 4)):
            self._command()

    def _command(self) -> None:
        life, world = self._life, self._world
        orders = life.bench.orders
        if orders.open_count >= COMMANDS_OPEN_MAX:
            return
        self._commands_sent += 1
        command_id = f"command-{self._commands_sent}"
        free = [name for name in life.pins if orders.is_free(name)]
        pin = world.random.choice(free) if free and world.chance(0.85) else ""
        expires_ms = None
        if pin.startswith("pulse"):
            kind, value = "pulse", world.spread(10, 20_000)
            body = {"command": "gpio.pulse", "arguments": {"pin": pin, "width_ms": value}}
        elif pin:
            kind, value = "set", world.random.randrange(2)
            body = {"command": "gpio.set", "arguments": {"pin": pin, "value": value}}
        else:
            kind, value = "other", 0
            body = {"command": world.random.choice(("ping", "gpio.get", "nonsense")), "arguments": {}}
        properties = {}
        if world.chance(0.2):
            expires_ms = world.utc_ms + world.spread(100, 60_000)
            properties["$.exp"] = _iso(expires_ms)
        world.trace(f"hub sends {command_id} {json.dumps(body)}")
        orders.sent(Order(command_id, kind, pin, value, world.now_ms))
        life.hub.send(command_id, properties, json.dumps(body).encode(), expires_ms)


def _iso(utc_ms: int) -> str:
    """Return Unix ms as the hub writes an expiry, such as 2026-11-23T16:00:00.000Z."""
    moment = datetime.fromtimestamp(utc_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_ms % 1000:03}Z"
