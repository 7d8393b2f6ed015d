"""The local hub as a whole: a listener, a registry, a store, and what connects them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.hub import property_bag
from host_tools.hub.certificates import HOSTNAME, Certificates
from host_tools.hub.devices.command_queue import CommandQueue, QueuedMessage
from host_tools.hub.devices.registry import DeviceRegistry
from host_tools.hub.faults import Faults
from host_tools.hub.mqtt.connection import CONNECT_TIMEOUT_S, Connection
from host_tools.hub.store import database, events
from host_tools.hub.store.events import StoredMessage
from host_tools.hub.store.writer import Writer

log = logging.getLogger("fieldpost.hub")

# Microsoft, "IoT Hub quotas and throttling": the size of a cloud-to-device message.
COMMAND_BYTES_MAX: Final = 64 * 1024
_STOP_TIMEOUT_S: Final = 2.0


class Hub:
    """A stand-in for IoT Hub on this machine; everything it keeps is in `directory` (mode 0700).

    clock: Unix time in seconds. port 0 takes a free one, known after `start`.
    """

    def __init__(
        self, directory: Path, host: str = "127.0.0.1", port: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self._certificates = Certificates(directory)
        self._directory = directory
        self._host = host
        self._lock_file: int | None = None
        self._server: asyncio.Server | None = None
        self._writer: Writer | None = None
        self._database = database.open_for_writing(directory)
        self._queues: dict[str, CommandQueue] = {}
        self._attached: dict[str, Connection] = {}
        self._listeners: list[Callable[[StoredMessage], None]] = []
        self.is_open = False
        self.hostname = HOSTNAME
        self.port = port
        self.clock = clock
        self.connections: set[Connection] = set()
        self.devices = DeviceRegistry(self._database)
        self.faults = Faults()

    @property
    def directory(self) -> Path:
        """Where the store and the certificates are."""
        return self._directory

    @property
    def ca_pem(self) -> str:
        """The root certificate that devices must trust, PEM."""
        return self._certificates.ca_pem

    @property
    def ca_der(self) -> bytes:
        """The same, DER."""
        return self._certificates.ca_der

    @property
    def redelivered(self) -> int:
        """How many commands were delivered again because `faults` lost their acknowledgement."""
        return self.faults.redelivered

    async def start(self) -> None:
        """Listen. UserError if the port is taken, or another hub has this directory."""
        loop = asyncio.get_running_loop()
        self._lock_file = _claim(self._directory)
        # Before the listener: a device that waits for the hub may be here at once.
        self._writer = Writer(database.open_for_writing(self._directory), loop, self._store_failed)
        self.is_open = True
        try:
            self._server = await loop.create_server(
                lambda: Connection(self),
                self._host,
                self.port,
                ssl=self._certificates.server_context(),
                ssl_handshake_timeout=CONNECT_TIMEOUT_S,
                ssl_shutdown_timeout=_STOP_TIMEOUT_S,
            )
        except OSError as error:
            await self.stop()
            raise UserError(
                f"port {self.port} on {self._host} cannot be used: {error.strerror or error}; "
                "stop what listens there, or choose another with --hub-port"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection, commit what was taken, and let go of the files. It cannot be started again."""
        self.is_open = False
        if self._server is not None:
            self._server.close()
            for connection in list(self.connections):
                connection.close("the hub stops")
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
            await asyncio.sleep(0)  # what the last commit has to say is said in the loop
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), _STOP_TIMEOUT_S)
        self._database.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    async def send(
        self,
        device_id: str,
        body: bytes,
        properties: dict[str, str],
        message_id: str | None = None,
        expiry_unix_s: float | None = None,
    ) -> str:
        """Queue a cloud-to-device message and return its id; durable when it returns.

        UserError for an unknown device, a full queue or a message that cannot be sent.
        """
        if self.devices.get(device_id) is None:
            known = ", ".join(device.id for device in self.devices.list()) or "none yet"
            raise UserError(f"the hub knows no device {device_id!r}; it knows: {known}")
        message_id = message_id or uuid.uuid4().hex
        system = {"message-id": message_id, "to": f"/devices/{device_id}/messages/devicebound"}
        expiry_ms = None
        if expiry_unix_s is not None:
            expiry_ms = int(expiry_unix_s * 1000)
            moment = datetime.fromtimestamp(expiry_unix_s, UTC)
            system["absolute-expiry-time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        _check_command(system, properties, body)
        queue = self.command_queue(device_id)
        queue.expire(self.now_ms())
        message = QueuedMessage(message_id, system, properties, body, expiry_ms)
        await queue.add(message, self.now_ms(), lambda: self._deliver(device_id))
        return message_id

    def messages(self, device_id: str | None = None, after: int = 0) -> Iterator[StoredMessage]:
        """Yield stored device-to-cloud messages, oldest first."""
        return events.read(self._database, device_id, after)

    def on_message(self, callback: Callable[[StoredMessage], None]) -> None:
        """Call back for each device-to-cloud message, in the loop, when it is durable."""
        self._listeners.append(callback)

    def pending(self, device_id: str) -> int:
        """How many commands the device has not completed and may still get."""
        queue = self.command_queue(device_id)
        queue.expire(self.now_ms())
        return len(queue)

    def is_connected(self, device_id: str) -> bool:
        """Whether the device is connected now."""
        return device_id in self._attached

    def disconnect(self, device_id: str) -> None:
        """Close the device's connection, if it has one."""
        connection = self._attached.get(device_id)
        if connection is not None:
            connection.close("disconnected by the operator")

    # --- for connections ---

    def now_ms(self) -> int:
        """Return the hub's time, Unix milliseconds."""
        return int(self.clock() * 1000)

    def attach(self, connection: Connection, device_id: str) -> None:
        """One connection for each device: the newer one stays (the real hub logs 400027)."""
        older = self._attached.get(device_id)
        self._attached[device_id] = connection
        if older is not None:
            older.close("the device has connected anew")

    def detach(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        session = connection.session
        if session is not None and self._attached.get(session.device_id) is connection:
            del self._attached[session.device_id]

    def command_queue(self, device_id: str) -> CommandQueue:
        """Return the device's queue; the hub is started."""
        assert self._writer is not None
        queue = self._queues.get(device_id)
        if queue is None:
            queue = self._queues[device_id] = CommandQueue(device_id, self._database, self._writer)
        return queue

    def store_event(
        self,
        device_id: str,
        system: dict[str, str],
        properties: dict[str, str | None],
        body: bytes,
        duplicate: bool,
        durable: Callable[[], None] | None = None,
    ) -> None:
        """Store a device-to-cloud message and call `durable` when it is."""
        assert self._writer is not None
        now_ms = self.now_ms()

        def done(sequence: int) -> None:
            if durable is not None:
                durable()
            if self._listeners:
                message_id = system.get("message-id")
                message = StoredMessage(sequence, device_id, message_id, system, properties, body, now_ms, duplicate)
                for listener in self._listeners:
                    listener(message)

        values = (device_id, now_ms, json.dumps(system), json.dumps(properties), int(duplicate), body)
        self._writer.submit(events.INSERT, values, done)

    # --- inside ---

    def _deliver(self, device_id: str) -> None:
        connection = self._attached.get(device_id)
        if connection is not None and connection.session is not None:
            connection.session.deliver()

    def _store_failed(self, error: Exception) -> None:
        """Nobody may wait for an acknowledgement that will never come: devices send again when they reconnect."""
        log.error("the store cannot be written: %s; every connection is closed", error)
        for connection in list(self.connections):
            connection.close("the store cannot be written", logging.ERROR)


def _claim(directory: Path) -> int:
    """Return a locked file descriptor; UserError if another hub holds it. It ends with the process."""
    file = os.open(directory / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise UserError(f"another hub already runs in {directory}: stop it, or choose another folder") from error
    return file


def _check_command(system: dict[str, str], properties: dict[str, str], body: bytes) -> None:
    """UserError for what no device could be sent."""
    try:
        size = len(body) + property_bag.size(system, dict(properties))
        topic_bytes = len(property_bag.encode(system, properties)) + len(system["to"])
    except UnicodeEncodeError as error:
        raise UserError("a property or the message id is not valid text") from error
    # The second limit is MQTT's (1.5.3): percent-encoding may triple what the first one allows.
    if size > COMMAND_BYTES_MAX or topic_bytes > 65_535:
        raise UserError(
            f"command of {size} bytes, {topic_bytes} of them on the wire as properties: "
            f"a device takes {COMMAND_BYTES_MAX} with properties of at most 65535 as they are encoded"
        )
