"""A hub as the wire shows it: messages are stored before they are acknowledged, commands wait until they are.

After Microsoft, "Communicate with an IoT hub using the MQTT protocol" and "Send cloud-to-device messages from an
IoT hub": QoS 1, one connection for each device (a newer one takes over; what is on its way on the older one may
still be stored, between what comes on the newer one), commands are locked while they are under way and come again when
the lock or the connection ends, expired ones are dropped. It knows no firmware.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from host_tools.simulate.network import Connection, Network, Packet
from host_tools.simulate.world import World

LOCK_MS = 60_000
PARTING_MS_MAX = 60_000
HOLDS_IN_EACH = 4  # one life in so many has a hub that takes its time to store what has arrived


@dataclass(slots=True)
class Sent:
    """One command on its way. expires_ms: Unix ms or None."""

    id: str
    topic: bytes
    body: bytes
    expires_ms: int | None
    was_delivered: bool = False


class Hub:
    """One device's hub. on_settled(id, whether the device acknowledged it).

    on_message(message id, body, whether it came by a connection that a newer one has taken over from)
    """

    def __init__(
        self,
        world: World,
        network: Network,
        device_id: str,
        on_message: Callable[[str, bytes, bool], None],
        on_settled: Callable[[str, bool], None],
    ) -> None:
        self._world = world
        self._network = network
        self._device_id = device_id
        self._on_message = on_message
        self._on_settled = on_settled
        self.is_running = True
        self._starts = 0
        self.puback_delay_ms = (1, 20)
        self.loses_next_puback = False
        self.parts_late = False  # an older connection lives on beside the newer one for a while
        self.commands: list[Sent] = []
        self._connection: Connection | None = None
        self._subscribed = False
        self._in_flight: dict[int, Sent] = {}
        self._owed: set[int] = set()  # packet ids delivered on this connection and not acknowledged, locked or not
        self._last_puback_ms = 0
        network.hub_accepts = self._accept

    def send(self, command_id: str, properties: dict[str, str], body: bytes, expires_ms: int | None) -> None:
        """Take a command into the durable queue and deliver it if the device is there."""
        bag = {"$.mid": command_id, **properties}
        text = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in bag.items())
        topic = f"devices/{self._device_id}/messages/devicebound/{text}".encode()
        self.commands.append(Sent(command_id, topic, body, expires_ms))
        self._deliver_waiting()

    def stop(self) -> None:
        """The process ends; what it has stored stays."""
        self.is_running = False
        if self._connection is not None:
            self._connection.close_hub_end()

    def start(self) -> None:
        """It comes back with its store, unless it has since another restart."""
        if not self.is_running:
            self._starts += 1
            self.is_running = True

    def _accept(self, connection: Connection) -> bool:
        if not self.is_running:
            return False
        connection.to_hub = lambda packet: self._receive(connection, packet)
        connection.on_hub_closed = lambda: self._closed(connection)
        return True

    def _receive(self, connection: Connection, packet: Packet) -> None:
        if not self.is_running:
            return
        kind = packet[0]
        if kind == "connect":
            previous = self._connection
            self._connection = connection
            self._forget_connection()
            if previous is not None and self.parts_late:
                self._world.after(self._world.spread(100, PARTING_MS_MAX), previous.close_hub_end)
            elif previous is not None:
                previous.close_hub_end()
            connection.tell_device(("connack",))
        elif connection is not self._connection and not (self.parts_late and kind == "publish"):
            connection.close_hub_end()
        elif kind == "publish":
            self._hold(connection, packet)
        elif kind == "puback":
            self._acknowledged(packet[1])
        elif kind == "subscribe":
            connection.tell_device(("suback", packet[2]))
            self._subscribed = True
            self._deliver_waiting()
        elif kind == "pingreq":
            connection.tell_device(("pingresp",))

    def _hold(self, connection: Connection, packet: Packet) -> None:
        """Store it, after what came before it by the same connection."""
        now_ms, starts = self._world.now_ms, self._starts
        due_ms = max(connection.held_until_ms, now_ms)
        if self.parts_late and self._world.seed % HOLDS_IN_EACH == 0:
            due_ms = max(due_ms, now_ms + self._world.spread(10, PARTING_MS_MAX))
        if due_ms == now_ms and connection.held_until_ms < now_ms:
            self._store_late(connection, packet, starts)
            return
        connection.held_until_ms = due_ms
        self._world.at(due_ms, lambda: self._store_late(connection, packet, starts))

    def _store_late(self, connection: Connection, packet: Packet, starts: int) -> None:
        if not self.is_running or starts != self._starts:
            return  # what a process had not stored ends with it
        if connection is not self._connection:
            self._world.fault("message of an older connection")
        self._store(connection, *packet[1:])

    def _store(self, connection: Connection, topic: bytes, body: bytes, packet_id: int, dup: bool) -> None:
        head, _, bag = topic.decode().partition("/messages/events/")
        assert head == f"devices/{self._device_id}", topic
        message_id = _property(bag, "$.mid")
        if self._world.is_traced:
            self._world.trace(f"hub stores {message_id}, packet {packet_id}{' dup' if dup else ''}")
        self._on_message(message_id, body, connection is not self._connection)
        if self.loses_next_puback:
            self.loses_next_puback = False
            self._world.fault("PUBACK lost", message_id)
            connection.reset()
            return
        due_ms = self._world.now_ms + self._world.spread(*self.puback_delay_ms)
        self._last_puback_ms = max(self._last_puback_ms, due_ms)
        self._world.at(self._last_puback_ms, lambda: self._send_puback(connection, packet_id))

    def _send_puback(self, connection: Connection, packet_id: int) -> None:
        if self.is_running and connection is self._connection:
            connection.tell_device(("puback", packet_id))

    def _deliver_waiting(self) -> None:
        if not self._subscribed or self._connection is None:
            return
        under_way = {command.id for command in self._in_flight.values()}
        for command in list(self.commands):
            if command.id not in under_way:
                self._deliver(command)

    def _deliver(self, command: Sent) -> None:
        connection = self._connection
        if connection is None:
            return
        if command.expires_ms is not None and self._world.utc_ms >= command.expires_ms:
            self.commands.remove(command)
            self._on_settled(command.id, False)
            return
        command.was_delivered = True
        packet_id = self._free_packet_id()
        self._in_flight[packet_id] = command
        connection.tell_device(("message", command.topic, command.body, packet_id))
        self._world.after(LOCK_MS, lambda: self._unlock(connection, packet_id))

    def _free_packet_id(self) -> int:
        """Return any small number that this connection does not owe an acknowledgement: others used them before."""
        limit = len(self._owed) + 4
        packet_id = self._world.random.choice([number for number in range(1, limit) if number not in self._owed])
        self._owed.add(packet_id)
        return packet_id

    def _unlock(self, connection: Connection, packet_id: int) -> None:
        if connection is self._connection and packet_id in self._in_flight and connection.reaches_device:
            command = self._in_flight.pop(packet_id)
            self._world.fault("command lock lost", command.id)
            self._deliver(command)

    def _acknowledged(self, packet_id: int) -> None:
        self._owed.discard(packet_id)
        command = self._in_flight.pop(packet_id, None)
        if command is not None:
            self.commands.remove(command)
            self._on_settled(command.id, True)

    def _closed(self, connection: Connection) -> None:
        if connection is self._connection:
            self._connection = None
            self._forget_connection()

    def _forget_connection(self) -> None:
        self._subscribed = False
        self._in_flight = {}
        self._owed = set()
        self._last_puback_ms = 0


def _property(bag: str, name: str) -> str:
    """Return the property `name` of a topic's property bag. Raises KeyError."""
    for pair in bag.split("&"):
        key, _, value = pair.partition("=")
        if unquote(key) == name:
            return unquote(value)
    raise KeyError(name)
