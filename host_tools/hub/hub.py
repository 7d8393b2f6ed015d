"""The local hub as a whole: its listeners, what it knows of devices, its store, and what connects them."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from host_tools.errors import UserError
from host_tools.hub import commands
from host_tools.hub.behaviour import Behaviour
from host_tools.hub.budget import UNSTORED_BYTES_MAX, Budget, Holder
from host_tools.hub.certificates import HOSTNAME, Certificates
from host_tools.hub.devices import identity, methods
from host_tools.hub.devices.authorities import Authorities
from host_tools.hub.devices.command_queue import CommandQueue, QueuedMessage
from host_tools.hub.devices.feedback import Feedback
from host_tools.hub.devices.merge_patch import Json
from host_tools.hub.devices.presence import Presence
from host_tools.hub.devices.registry import DeviceRegistry
from host_tools.hub.devices.sessions import StoredSessions
from host_tools.hub.devices.twin import Twin
from host_tools.hub.devices.twins import Twins
from host_tools.hub.faults import Faults
from host_tools.hub.front_door import FrontDoor
from host_tools.hub.listener import Listener
from host_tools.hub.mqtt import codec, connection
from host_tools.hub.mqtt.session import Session
from host_tools.hub.provisioning.service import Provisioning
from host_tools.hub.provisioning.session import ProvisioningSession
from host_tools.hub.service.partitions import Partitions
from host_tools.hub.service.policies import Policies
from host_tools.hub.service.rest import ServiceApi
from host_tools.hub.store import database, event_packet, events
from host_tools.hub.store.events import StoredMessage
from host_tools.hub.store.settings import Settings
from host_tools.hub.store.writer import BARRIER, Writer
from host_tools.hub.throttle import Kind, Throttle
from host_tools.hub.web.connection import Api

log = logging.getLogger("fieldpost.hub")

# What was written before the end leaves, and TLS says goodbye.
_GOODBYE_S: Final = 0.05
_HOUSEKEEPING_S: Final = 1.0


class Flushable(Protocol):
    """A connection that gathers what is written to it."""

    def flush(self) -> None:
        """Send that."""


class Waiting(Protocol):
    """A connection that is not read because the disk is behind."""

    def look_again(self) -> None:
        """The disk may have caught up."""


class DeviceConnection(Holder, Protocol):
    """A connection that a device may have."""

    session: Session | ProvisioningSession | None


class Hub:
    """A stand-in for IoT Hub on this machine; everything it keeps is in `directory` (mode 0700).

    clock: Unix time in seconds. port 0 takes a free one, known after `start`. Every port speaks every protocol;
    other_ports are for clients that insist on theirs. hostname: what clients call this hub.
    """

    def __init__(
        self,
        directory: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        *,
        other_ports: Sequence[int] = (),
        hostname: str = HOSTNAME,
        behaviour: Behaviour | None = None,
        tier: str | None = None,
    ) -> None:
        self.throttle = Throttle(tier, clock)
        self._certificates = Certificates(directory, [hostname])
        self._directory = directory
        self._host = host
        self._other_ports = list(other_ports)
        self._lock_file: int | None = None
        self._listeners: list[Listener] = []
        self._writer: Writer | None = None
        self._database = database.open_for_writing(directory)
        self._queues: dict[str, CommandQueue] = {}
        self._message_listeners: list[Callable[[StoredMessage], None]] = []
        self._stored_listeners: list[Callable[[], None]] = []
        self._written: list[Flushable] = []
        self._waiting_for_the_disk: set[Waiting] = set()
        self._housekeeping: asyncio.Task[None] | None = None
        self.is_open = False
        self.hostname = hostname
        self.port = port
        self.clock = clock
        self.behaviour = behaviour or Behaviour()
        self.connections: set[Holder] = set()
        self.budget = Budget(lambda: list(self.connections))
        self.settings = Settings(self._database)
        self.policies = Policies(self.settings, lambda: {HOSTNAME, "127.0.0.1", self.hostname.lower()}, clock)
        self.partitions = Partitions(directory)
        self.created_ms = int(self.settings.get_or_make("created_ms", lambda: str(self.now_ms())))
        self.devices = DeviceRegistry(self._database)
        self.authorities = Authorities(self._database)
        self.provisioning = Provisioning(self._database, self.devices, hostname, clock, self._first_twin)
        self.methods = methods.MethodCalls(self._method_request)
        self.presence = Presence(self.now_ms)
        self.faults = Faults()
        # What HTTP over TLS reaches, on every port.
        self.web: Api = ServiceApi(self)
        self.sessions: StoredSessions
        self.twins: Twins
        self.feedback: Feedback

    @property
    def directory(self) -> Path:
        """Where the store and the certificates are."""
        return self._directory

    @property
    def reading(self) -> sqlite3.Connection:
        """The store, for reading."""
        return self._database

    @property
    def ca_pem(self) -> str:
        """The root certificate that devices must trust, PEM."""
        return self._certificates.ca_pem

    @property
    def ca_file(self) -> Path:
        """The file that holds it."""
        return self._certificates.ca_file

    @property
    def ca_der(self) -> bytes:
        """The same, DER."""
        return self._certificates.ca_der

    @property
    def ports(self) -> list[int]:
        """Every port that the hub listens on."""
        return [listener.port for listener in self._listeners]

    @property
    def redelivered(self) -> int:
        """How many commands were delivered again because `faults` lost their acknowledgement."""
        return self.faults.redelivered

    async def start(self) -> None:
        """Listen. UserError if a port is taken, or another hub has this directory."""
        loop = asyncio.get_running_loop()
        self._lock_file = _claim(self._directory)
        # Before the listener: a device that waits for the hub may be here at once.
        self._writer = Writer(database.open_for_writing(self._directory), loop, self._store_failed, self._flush)
        self.sessions = StoredSessions(self._database, self._writer)
        self.twins = Twins(self._database, self._writer, self.clock, self._notify_desired)
        self.feedback = Feedback(self._database, self._writer, self.clock)
        for (device_id,) in self._database.execute("SELECT DISTINCT device_id FROM commands").fetchall():
            self.command_queue(device_id)
        self.is_open = True
        context = self._certificates.server_context()
        connect_s = connection.CONNECT_TIMEOUT_S * self.behaviour.patience
        for port in (self.port, *self._other_ports):
            listener = Listener(self._host, port, context, lambda: FrontDoor(self), connect_s)
            try:
                await listener.start()
            except OSError as error:
                await self.stop()
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
                raise UserError(
                    f"port {port} on {self._host} cannot be used: {reason}; "
                    "stop what listens there, or choose another port"
                ) from error
            self._listeners.append(listener)
        self.port = self.ports[0]
        self._housekeeping = loop.create_task(self._keep_house())

    async def stop(self) -> None:
        """Close every connection, commit what was taken, and let go of the files. It cannot be started again."""
        self.is_open = False
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        for listener in self._listeners:
            await listener.stop()
        open_connections = list(self.connections)
        for open_connection in open_connections:
            open_connection.close("the hub stops")
        if self._writer is not None:
            await self._writer.close()
        if open_connections:
            await asyncio.sleep(_GOODBYE_S)
        self._database.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    # --- for services and people ---

    async def send(
        self,
        device_id: str,
        body: bytes,
        properties: dict[str, str],
        message_id: str | None = None,
        expiry_unix_s: float | None = None,
        system: dict[str, str] | None = None,
    ) -> str:
        """Queue a cloud-to-device message and return its id; durable when it returns.

        system: further system properties by their long names, such as correlation-id. iothub-ack among the
        properties asks for feedback. UserError for an unknown device, a full queue or a message that cannot be sent;
        Throttled beyond the limits of the tier.
        """
        if self.devices.get(device_id) is None:
            raise UserError(self._unknown(device_id))
        self.throttle.take(Kind.COMMANDS)
        message_id = message_id or uuid.uuid4().hex
        now_s = self.clock()
        lives_until_s = now_s + self.behaviour.c2d_ttl_s if expiry_unix_s is None else expiry_unix_s
        known = commands.system_properties(device_id, message_id, expiry_unix_s, system or {})
        commands.check(known, properties, body)
        queue = self.command_queue(device_id)
        queue.expire(self.now_ms())
        message = QueuedMessage(message_id, known, properties, body, int(lives_until_s * 1000))
        await queue.add(message, self.now_ms(), lambda: self._deliver(device_id))
        return message_id

    async def invoke_method(
        self,
        device_id: str,
        name: str,
        payload: bytes = b"",
        response_timeout_s: float = methods.RESPONSE_TIMEOUT_S,
        connect_timeout_s: float = 0,
    ) -> tuple[int, bytes]:
        """Call a direct method and return the device's (status, JSON payload or b"").

        payload: JSON or empty. UserError for an unknown device or a call that cannot be made; MethodFailed if no
        answer comes.
        """
        if self.devices.get(device_id) is None:
            raise UserError(self._unknown(device_id))
        commands.check_method(name, payload, response_timeout_s, connect_timeout_s)
        return await self.methods.invoke(device_id, name, payload, response_timeout_s, connect_timeout_s)

    async def change_twin(
        self, device_id: str, tags: Any = None, desired: Any = None, is_replaced: bool = False
    ) -> Twin:
        """Merge or replace tags and desired properties and return the twin; durable when it returns.

        UserError for an unknown device; DocumentRefused for what a twin cannot hold.
        """
        if self.devices.get(device_id) is None:
            raise UserError(self._unknown(device_id))
        changed: asyncio.Future[Twin] = asyncio.get_running_loop().create_future()

        def failed() -> None:
            if not changed.done():
                changed.set_exception(UserError("the hub cannot store the twin; it was not changed"))

        def done(twin: Twin) -> None:
            if not changed.done():
                changed.set_result(twin)

        self.twins.change(device_id, tags, desired, is_replaced, done, failed)
        return await changed

    def delete_device(self, device_id: str) -> None:
        """Forget a device and everything that waits for it. KeyError for an unknown one."""
        self.disconnect(device_id, "the device was deleted")
        self.devices.delete(device_id)
        self.twins.forget(device_id)
        self.sessions.end(device_id)
        self.feedback.forget(device_id)
        self.presence.forget(device_id)
        self._queues.pop(device_id, None)

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest stored message, 0 if there is none."""
        return events.last_sequence(self._database)

    def messages(self, device_id: str | None = None, after: int = 0) -> Iterator[StoredMessage]:
        """Yield stored device-to-cloud messages, oldest first."""
        return events.read(self._database, device_id, after)

    def on_message(self, callback: Callable[[StoredMessage], None]) -> None:
        """Call back for each device-to-cloud message, in the loop, when it is durable."""
        self._message_listeners.append(callback)

    def remove_listener(self, callback: Callable[[StoredMessage], None]) -> None:
        """Call it no more."""
        self._message_listeners.remove(callback)

    def on_stored(self, callback: Callable[[], None]) -> None:
        """Call back, in the loop, when device-to-cloud messages have become durable."""
        self._stored_listeners.append(callback)

    def remove_stored_listener(self, callback: Callable[[], None]) -> None:
        """Call it no more."""
        self._stored_listeners.remove(callback)

    def pending(self, device_id: str) -> int:
        """How many commands the device has not completed and may still get."""
        queue = self.command_queue(device_id)
        queue.expire(self.now_ms())
        return len(queue)

    def is_connected(self, device_id: str) -> bool:
        """Whether the device is connected now."""
        return device_id in self.presence

    def disconnect(self, device_id: str, reason: str = "disconnected by the operator") -> None:
        """Close the device's connection, if it has one."""
        attached = self.presence.get(device_id)
        if attached is not None:
            attached.close(reason)

    # --- for connections ---

    def admit(self, connect: codec.Connect, chain: list[bytes]) -> identity.Admission:
        """Check a CONNECT and the certificates that came with it; raises Refused."""
        grace_s = self.behaviour.sas_grace_s
        return identity.admit(connect, self.devices, self.authorities, chain, self.clock(), grace_s)

    def now_ms(self) -> int:
        """Return the hub's time, Unix milliseconds."""
        return int(self.clock() * 1000)

    def attach(self, newer: DeviceConnection, device_id: str) -> None:
        """One connection for each device: the newer one stays (the real hub logs 400027)."""
        older = self.presence.attach(device_id, newer)
        if older is not None:
            older.close("400027: the device has connected anew, and it has one connection", logging.WARNING)

    def detach(self, ended: Holder) -> None:
        """A connection is gone."""
        self.connections.discard(ended)
        session = getattr(ended, "session", None)
        if session is not None:
            self.presence.detach(session.device_id, ended)

    def command_queue(self, device_id: str) -> CommandQueue:
        """Return the device's queue; the hub is started."""
        assert self._writer is not None
        queue = self._queues.get(device_id)
        if queue is None:

            def report(message_id: str, outcome: str) -> None:
                device = self.devices.get(device_id)
                if device is not None:
                    self.feedback.add(device_id, device.generation_id, message_id, outcome)

            queue = CommandQueue(device_id, self._database, self._writer, self.behaviour, report)
            self._queues[device_id] = queue
        return queue

    def store_event(
        self,
        device_id: str,
        system: dict[str, str],
        properties: dict[str, str | None],
        body: bytes,
        duplicate: bool = False,
        durable: Callable[[], None] | None = None,
    ) -> None:
        """Store a device-to-cloud message and call `durable` when it is."""
        self.store_packets(device_id, event_packet.encode(device_id, system, properties, body, duplicate), 1, durable)

    def store_packets(
        self, device_id: str, packets: bytes, count: int, durable: Callable[[], None] | None = None
    ) -> None:
        """Store PUBLISH packets of a device that have been found good, and call `durable` when they are."""
        assert self._writer is not None
        now_ms = self.now_ms()
        self.presence.heard(device_id, now_ms)
        values = (count, device_id, now_ms, packets)
        self._writer.submit(events.INSERT, values, partial(self._stored, values, durable))

    def after_what_was_stored(self, callback: Callable[[], None]) -> None:
        """Call back in the loop when everything that was stored until now is durable."""
        assert self._writer is not None
        self._writer.submit(BARRIER, (), lambda _: callback())

    @property
    def store_fullness(self) -> float:
        """What is taken and not on disk, of all connections together: from 1 on nobody is to be read."""
        return self._writer.pending_bytes / UNSTORED_BYTES_MAX if self._writer is not None else 0.0

    def wait_for_the_disk(self, waiting: Waiting) -> None:
        """Have it look again when `store_fullness` is at 0.5 or below."""
        self._waiting_for_the_disk.add(waiting)

    def flush_soon(self, written: Flushable) -> None:
        """Have the connection send what was written to it, with all others to which something was written meanwhile."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._flush)
        self._written.append(written)

    # --- inside ---

    def _stored(self, values: tuple[int, str, int, bytes], durable: Callable[[], None] | None, sequence: int) -> None:
        if durable is not None:
            durable()
        if self._stored_listeners:
            for stored in list(self._stored_listeners):
                stored()
        if self._message_listeners:
            for message in events.Row(sequence, *values).messages():
                for listener in list(self._message_listeners):
                    listener(message)

    def _flush(self) -> None:
        """Also right after a commit, before others are heard: who waits for acknowledgements goes on meanwhile."""
        written, self._written = self._written, []
        for one in written:
            try:
                one.flush()
            except Exception:
                log.exception("a connection could not be written to")
        if self._waiting_for_the_disk and self.store_fullness <= 0.5:
            waiting, self._waiting_for_the_disk = self._waiting_for_the_disk, set()
            for waiter in waiting:
                waiter.look_again()

    def _session(self, device_id: str) -> Session | None:
        attached = self.presence.get(device_id)
        session = attached.session if attached is not None else None
        return session if isinstance(session, Session) else None

    def _deliver(self, device_id: str) -> None:
        session = self._session(device_id)
        if session is not None:
            session.deliver()

    def _method_request(self, device_id: str) -> methods.Request | None:
        session = self._session(device_id)
        return session.request_method if session is not None and session.takes_methods else None

    def _notify_desired(self, device_id: str, patch: Json) -> None:
        session = self._session(device_id)
        if session is not None:
            session.notify_desired(patch)

    def _first_twin(self, device_id: str, tags: Json, desired: Json) -> None:
        self.twins.change(device_id, tags or None, desired or None, True, lambda _: None, lambda: None)

    async def _keep_house(self) -> None:
        """Nobody need touch a queue for its sender to hear of an expiry, nor a connection for it to hold too much."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            for queue in list(self._queues.values()):
                if len(queue):
                    queue.expire(self.now_ms())
            self.budget.look()

    def _unknown(self, device_id: str) -> str:
        known = [device.id for device in self.devices.list()]
        shown = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
        return f"the hub knows no device {device_id!r}; it knows: {shown or 'none yet'}"

    def _store_failed(self, error: Exception) -> None:
        """Nobody may wait for an acknowledgement that will never come: devices send again when they reconnect."""
        log.error("the store cannot be written: %s; every connection is closed", error)
        for open_connection in list(self.connections):
            open_connection.close("the store cannot be written", logging.ERROR)


def _claim(directory: Path) -> int:
    """Return a locked file descriptor; UserError if another hub holds it. It ends with the process."""
    file = os.open(directory / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise UserError(f"another hub already runs in {directory}: stop it, or choose another folder") from error
    return file
