"""Frames and protocol headers (OASIS AMQP 1.0 part 2, sections 2.2 and 2.3): bytes in, frames out, and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from host_tools.hub.amqp import performatives, types
from host_tools.hub.amqp.performatives import Performative

AMQP: Final = 0
SASL: Final = 1

_HEADER: Final = struct.Struct(">4sBBBB")
_FRAME: Final = struct.Struct(">IBBH")
HEADERS: Final = {0: b"AMQP\x00\x01\x00\x00", 3: b"AMQP\x03\x01\x00\x00"}
# What a peer may send before it is known (5.3.1 and 2.4.1).
FRAME_BYTES_MIN_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Header:
    """Which protocol is to be spoken from here on: 0 AMQP, 3 SASL."""

    protocol: int


@dataclass(frozen=True, slots=True)
class Frame:
    """performative: None in an empty frame, which only says that the peer lives. payload: what follows it."""

    kind: int
    channel: int
    performative: Performative | None
    payload: bytes


class Decoder:
    """Takes bytes as they come; keeps at most one incomplete frame between calls.

    frame_bytes_max: limit for the frames still to come. expects_header: set it where a protocol header comes next.
    """

    def __init__(self) -> None:
        self.frame_bytes_max = FRAME_BYTES_MIN_MAX
        self.expects_header = True
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes; `frames` gives what they complete."""
        self._buffer += data

    @property
    def held_bytes(self) -> int:
        """How much it keeps."""
        return len(self._buffer)

    def frames(self) -> Iterator[Header | Frame]:
        """Yield headers and whole frames, in order; raises Malformed when it comes to what is neither."""
        start = 0
        try:
            while True:
                if self.expects_header:
                    if len(self._buffer) - start < _HEADER.size:
                        return
                    name, protocol, *version = _HEADER.unpack_from(self._buffer, start)
                    start += _HEADER.size
                    if name != b"AMQP" or protocol not in HEADERS or version != [1, 0, 0]:
                        raise types.Malformed("not the header of AMQP 1.0")
                    self.expects_header = False
                    yield Header(protocol)
                    continue
                if len(self._buffer) - start < _FRAME.size:
                    return
                size, offset, kind, channel = _FRAME.unpack_from(self._buffer, start)
                if size > self.frame_bytes_max or size < _FRAME.size or not 8 <= offset * 4 <= size:
                    raise types.Malformed(f"frame of {size} bytes, limit {self.frame_bytes_max}")
                if kind not in (AMQP, SASL):
                    raise types.Malformed(f"frame of type {kind}")
                if len(self._buffer) - start < size:
                    return
                body = bytes(self._buffer[start + offset * 4 : start + size])
                start += size
                yield _frame(kind, channel, body)
        finally:
            del self._buffer[:start]


def _frame(kind: int, channel: int, body: bytes) -> Frame:
    if not body:
        return Frame(kind, channel, None, b"")
    value, end = types.decode(body)
    return Frame(kind, channel, performatives.parse(value), body[end:])


def frame(channel: int, performative: Performative, payload: bytes = b"", kind: int = AMQP) -> bytes:
    """Return a whole frame."""
    body = performatives.as_bytes(performative)
    return _FRAME.pack(_FRAME.size + len(body) + len(payload), 2, kind, channel) + body + payload


def empty_frame() -> bytes:
    """What says that this side lives (2.4.5)."""
    return _FRAME.pack(_FRAME.size, 2, AMQP, 0)
