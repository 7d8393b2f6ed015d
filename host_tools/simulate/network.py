"""What lies between device and hub: connections that deliver in order, late, or not at all.

good        connections open, packets arrive after a delay
absent      nobody answers: an attempt is refused, or hears nothing
black hole  everything that is sent vanishes, and nobody is told (a half-open connection)
"""

from collections.abc import Callable
from typing import Any

from host_tools.simulate.world import World

GOOD = "good"
ABSENT = "absent"
BLACK_HOLE = "black hole"
LATENCY_MS = (5, 200)
BREAK_MS_MAX = 5_000  # after it has opened

# Packets are tuples of their MQTT name and what they carry, such as ("puback", packet_id).
Packet = tuple[Any, ...]


class Network:
    """The state of the way, the same in both directions. is_up, step: what the agent asks of a board's Wi-Fi."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = GOOD
        self.is_up = True
        self.is_congested = False  # nothing leaves the device's buffer
        self.latency_ms = LATENCY_MS
        self.time_server_answers = True
        self.hub_accepts: Callable[[Connection], bool] = lambda connection: False
        self.connections: list[Connection] = []
        self.breaks: list[Callable[[], None]] = []  # each waits for a connection to open, and strikes at it soon after

    def step(self, ticks: int) -> None:
        """Nothing to do: the weather changes by itself."""

    def connect(self, to_device: Callable[[Packet], None]) -> "Connection":
        """Begin a connection; ("refused",) or ("open",) come to the device, or nothing does."""
        connection = Connection(self, to_device)
        self.connections = [other for other in self.connections if not other.is_gone]
        self.connections.append(connection)
        if self.state == ABSENT:
            if self.world.chance(0.5):
                connection.tell_device(("closed", "nobody listens there"))
        elif self.state == GOOD:
            self.world.after(self.delay_ms(), connection.reach_hub)
        return connection

    def delay_ms(self) -> int:
        """Return how long the next packet takes."""
        return self.world.spread(*self.latency_ms)

    def whole(self) -> "list[Connection]":
        """Return the connections that nothing has broken yet."""
        return [connection for connection in self.connections if connection.is_whole]

    def swallow_all(self) -> None:
        """Every connection turns into a black hole for good, as a router that has lost its table does it."""
        for connection in self.connections:
            connection.swallow()


class Connection:
    """One TCP connection with what is under way on it. Either end may think that it still lives."""

    def __init__(self, network: Network, to_device: Callable[[Packet], None]) -> None:
        self._network = network
        self._world = network.world
        self._to_device = to_device
        self.to_hub: Callable[[Packet], None] | None = None
        self.on_hub_closed: Callable[[], None] | None = None
        self.is_swallowed = False
        self.device_end_open = True
        self.hub_end_open = False
        self.held_until_ms = 0  # until then the hub has not stored what came by it
        self._last_up_ms = 0
        self._last_down_ms = 0

    @property
    def is_gone(self) -> bool:
        """Whether neither end knows of it any more."""
        return not self.device_end_open and not self.hub_end_open

    @property
    def is_whole(self) -> bool:
        """Whether an end knows of it and nothing has broken it."""
        return not self.is_swallowed and (self.device_end_open or self.hub_end_open)

    @property
    def reaches_device(self) -> bool:
        """Whether what the hub sends can still arrive."""
        return self.device_end_open and not self.is_swallowed

    @property
    def is_healthy(self) -> bool:
        """Whether both ends live and nothing stands between them."""
        network = self._network
        return self.hub_end_open and not self.is_swallowed and network.state == GOOD and not network.is_congested

    def reach_hub(self) -> None:
        """The SYN arrives."""
        if not self.device_end_open or self._is_lost():
            return
        if not self._network.hub_accepts(self):
            self.tell_device(("closed", "nobody listens there"))
            return
        self.hub_end_open = True
        self.tell_device(("open",))
        if self._network.breaks:
            self._world.after(self._world.spread(1, BREAK_MS_MAX), self._network.breaks.pop(0))

    def tell_hub(self, packet: Packet) -> None:
        """Send from the device; arrives in order. What the device has sent still arrives after it has closed."""
        self._last_up_ms = max(self._last_up_ms, self._world.now_ms + self._network.delay_ms())
        self._world.at(self._last_up_ms, lambda: self._arrive_at_hub(packet))

    def tell_device(self, packet: Packet) -> None:
        """Send from the hub; arrives in order."""
        self._last_down_ms = max(self._last_down_ms, self._world.now_ms + self._network.delay_ms())
        self._world.at(self._last_down_ms, lambda: self._arrive_at_device(packet))

    def close_device_end(self) -> None:
        """The device lets go; the hub hears of it, unless the power went or the way is a black hole."""
        if self.device_end_open:
            self.device_end_open = False
            self.tell_hub(("fin",))

    def lose_device_end(self) -> None:
        """The device is gone without a word."""
        self.device_end_open = False

    def close_hub_end(self) -> None:
        """The hub lets go; the device hears of it, unless the way is a black hole."""
        if self.hub_end_open:
            self._hub_end_closed()
            self.tell_device(("closed", "connection lost"))

    def swallow(self) -> None:
        """Whatever is sent from now on is gone, and nobody is told."""
        self.is_swallowed = True

    def reset(self) -> None:
        """The way tells both ends that the connection is broken; what is under way is lost."""
        self.is_swallowed = True
        if self.device_end_open:
            self._world.after(self._network.delay_ms(), self._reset_device_end)
        if self.hub_end_open:
            self._world.after(self._network.delay_ms(), self._hub_end_closed)

    def _reset_device_end(self) -> None:
        if self.device_end_open:
            self._to_device(("closed", "connection lost"))

    def _hub_end_closed(self) -> None:
        if self.hub_end_open:
            self.hub_end_open = False
            if self.on_hub_closed is not None:
                self.on_hub_closed()

    def _arrive_at_hub(self, packet: Packet) -> None:
        if self._is_lost() or not self.hub_end_open:
            return
        if packet[0] == "fin":
            self._hub_end_closed()
        elif self.to_hub is not None:
            self.to_hub(packet)

    def _arrive_at_device(self, packet: Packet) -> None:
        if self.device_end_open and not self._is_lost():
            self._to_device(packet)

    def _is_lost(self) -> bool:
        """TCP repeats what a short hole swallowed; once it has gone unheard the connection never recovers."""
        if self._network.state != GOOD:
            self.is_swallowed = True
        return self.is_swallowed
