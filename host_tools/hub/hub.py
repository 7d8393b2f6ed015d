"""The local hub as a whole: a listener, a registry, a store, and what connects them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from host_tools.errors import UserError
from host_tools.hub.certificates import HOSTNAME, Certificates
from host_tools.hub.devices.command_queue import CommandQueue, QueuedMessage
from host_tools.hub.devices.registry import DeviceRegistry
from host_tools.hub.faults import Faults
from host_tools.hub.mqtt.connection import Connection
from host_tools.hub.store import database, events
from host_tools.hub.store.events import StoredMessage
from host_tools.hub.store.writer import Writer


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
        self._server: asyncio.Server | None = None
        self._writer: Writer | None = None
        self._reading = database.open_for_writing(directory)
        self._queues: dict[str, CommandQueue] = {}
        self._attached: dict[str, Connection] = {}
        self._listeners: list[Callable[[StoredMessage], None]] = []
        self.hostname = HOSTNAME
        self.port = port
        self.clock = clock
        self.connections: set[Connection] = set()
        self.devices = DeviceRegistry(self._reading)
        self.faults = Faults()
        self.redelivered = 0

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

    async def start(self) -> None:
        """Listen. UserError if the port is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self), self._host, self.port, ssl=self._certificates.server_context()
            )
        except OSError as error:
            raise UserError(
                f"port {self.port} on {self._host} cannot be used: {error.strerror or error}; "
                "stop what listens there, or choose another with --hub-port"
            ) from error
        self._writer = Writer(database.open_for_writing(self._directory), loop)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection, commit what was taken, and let go of the files."""
        if self._server is None or self._writer is None:
            self._reading.close()
            return
        self._server.close()
        for connection in list(self.connections):
            connection.close("the hub stops")
        await asyncio.to_thread(self._writer.close)
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 2)
        self._reading.close()

    async def send(
        self,
        device_id: str,
        body: bytes,
        properties: dict[str, str],
        message_id: str | None = None,
        expiry_unix_s: float | None = None,
    ) -> str:
        """Queue a cloud-to-device message and return its id; durable when it returns.

        UserError for an unknown device, a full queue or a body that is too large.
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
        message = QueuedMessage(0, message_id, system, properties, body, expiry_ms)
        await self.command_queue(device_id).add(message, int(self.clock() * 1000))
        connection = self._attached.get(device_id)
        if connection is not None:
            connection.deliver()
        return message_id

    def messages(self, device_id: str | None = None, after: int = 0) -> Iterator[StoredMessage]:
        """Yield stored device-to-cloud messages, oldest first."""
        return events.read(self._reading, device_id, after)

    def on_message(self, callback: Callable[[StoredMessage], None]) -> None:
        """Call back for each device-to-cloud message, in the loop, when it is durable."""
        self._listeners.append(callback)

    def pending(self, device_id: str) -> int:
        """How many commands the device has not completed."""
        return len(self.command_queue(device_id).messages)

    def is_connected(self, device_id: str) -> bool:
        """Whether the device is connected now."""
        return device_id in self._attached

    def disconnect(self, device_id: str) -> None:
        """Close the device's connection, if it has one."""
        connection = self._attached.get(device_id)
        if connection is not None:
            connection.close("disconnected by the operator")

    # --- for connections ---

    def attach(self, connection: Connection, device_id: str) -> None:
        """One connection for each device: the newer one stays (the real hub logs 400027)."""
        older = self._attached.get(device_id)
        self._attached[device_id] = connection
        if older is not None:
            older.close("the device has connected anew")

    def detach(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if connection.device_id is not None and self._attached.get(connection.device_id) is connection:
            del self._attached[connection.device_id]

    def command_queue(self, device_id: str) -> CommandQueue:
        """Return the device's queue; the hub is started."""
        assert self._writer is not None
        queue = self._queues.get(device_id)
        if queue is None:
            queue = self._queues[device_id] = CommandQueue(device_id, self._reading, self._writer)
        return queue

    def store_event(
        self,
        device_id: str,
        system: dict[str, str],
        properties: dict[str, str | None],
        body: bytes,
        duplicate: bool,
        done: Callable[[], None],
    ) -> None:
        """Store a device-to-cloud message and call `done` when it is durable."""
        assert self._writer is not None
        now_ms = int(self.clock() * 1000)

        def durable(sequence: int) -> None:
            done()
            if self._listeners:
                message = StoredMessage(
                    sequence, device_id, system.get("message-id"), system, properties, body, now_ms, duplicate
                )
                for listener in self._listeners:
                    listener(message)

        values = (device_id, now_ms, json.dumps(system), json.dumps(properties), int(duplicate), body)
        self._writer.submit(events.INSERT, values, durable)
