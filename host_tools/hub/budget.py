"""One bound over all connections together: what they have sent that is no whole packet, what they do not read.

Each connection has bounds of its own, of which two thousand hostile ones could make two gigabytes. So there is a high
watermark, as message brokers have one (RabbitMQ, "Memory and Disk Alarms"). Above it those connections end that have
cost most, which is bytes times seconds: somebody's large packet that is on its way is gone in a moment.

    held by all   ______/--- HELD_BYTES_MAX: close the worst, with a line in the log ...
                 /      \\___ ... down to 80 %; who delivers and reads goes on, who was closed comes again

What was taken and is not on disk yet is nobody's fault and no close would free it: beyond UNSTORED_BYTES_MAX nobody is
read until the disk has caught up (store/writer.py counts it, mqtt/connection.py waits).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

# Of all connections together, in the hub's buffers and in the transports': unparsed and unsent.
HELD_BYTES_MAX: Final = 128 * 1024 * 1024
_LOW: Final = 0.8
# Of all connections together: taken, and not on disk.
UNSTORED_BYTES_MAX: Final = 64 * 1024 * 1024
# Each connection's transport may keep so much: beyond, we are told (write) or the socket is not read (read).
WRITE_BUFFER_BYTES: Final = 128 * 1024
READ_BUFFER_BYTES: Final = 64 * 1024
# A connection that holds so much has it looked at sooner than in its turn.
LARGE_BYTES: Final = 64 * 1024
# No oftener than that: looking at 2,000 connections takes some milliseconds.
_SOON_S: Final = 0.1
# TLS's own buffers grow with what passes through them, and do not shrink while the connection lasts.
_TLS_BYTES: Final = 96 * 1024
# The socket's own transport below TLS, which nobody can ask, keeps so much before TLS keeps anything.
_BELOW_TLS_BYTES: Final = 64 * 1024


class Holder(Protocol):
    """A connection of any protocol."""

    def close(self, reason: str, level: int = logging.INFO) -> None:
        """End it, once; the reason is for the log."""

    @property
    def transport(self) -> Any:
        """What it writes to, None when it has ended."""

    def held_bytes(self) -> int:
        """What it keeps of the peer's that is not acted upon, and for the peer that is not sent."""


class Budget:
    """Watches the connections of a hub. holders: returns them all."""

    def __init__(self, holders: Callable[[], Iterable[Holder]], bytes_max: int = HELD_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self._holders = holders
        self._is_due = False
        # By holder: how much it held when it was last looked at, and since when it has not become less.
        self._known: dict[Holder, tuple[int, float]] = {}

    def look_soon(self) -> None:
        """Somebody holds much."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_SOON_S, self._look_now)

    def look(self) -> int:
        """Look at every connection, close the worst if it has to be, and return how many bytes are held then."""
        now = time.monotonic()
        known, self._known = self._known, {}
        total = 0
        for holder in self._holders():
            size = holder.held_bytes()
            if size:
                size += _TLS_BYTES if size > LARGE_BYTES else 0
                before, since = known.get(holder, (0, now))
                self._known[holder] = size, since if size >= before else now
                total += size
        return self._relieve(total, now) if total > self.bytes_max else total

    def _look_now(self) -> None:
        self._is_due = False
        self.look()

    def _relieve(self, total: int, now: float) -> int:
        costs = sorted(
            ((size * (now - since + _SOON_S), size, holder) for holder, (size, since) in self._known.items()),
            key=lambda cost: cost[0],
            reverse=True,
        )
        reason = f"all connections together hold {total >> 20} MiB, limit {self.bytes_max >> 20}; this one %d KiB"
        for _, size, holder in costs:
            if total <= self.bytes_max * _LOW:
                break
            del self._known[holder]
            transport = holder.transport
            holder.close(reason % (size >> 10), logging.WARNING)
            transport.abort()  # a goodbye to who does not read would keep all of it for seconds
            total -= size
        return total


def bound(transport: Any) -> None:
    """Have a transport keep little. Not every one can be told."""
    transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
    if hasattr(transport, "set_read_buffer_limits"):  # one with TLS
        transport.set_read_buffer_limits(high=READ_BUFFER_BYTES)


def in_transport(transport: Any) -> int:
    """Return how many bytes a transport keeps, as far as it says."""
    if transport is None:
        return 0
    unsent: int = transport.get_write_buffer_size()
    unread: int = transport.get_read_buffer_size() if hasattr(transport, "get_read_buffer_size") else 0
    return unread + (unsent + _BELOW_TLS_BYTES if unsent else 0)
