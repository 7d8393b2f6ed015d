"""WebSocket frames, server side (RFC 6455): bytes in, messages out, and back; not one socket.

MQTT 3.1.1 section 6: MQTT travels in binary frames, and packets need not respect their borders.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

# Enough for the largest MQTT packet; a larger frame could only be cut into packets.
FRAME_BYTES_MAX: Final = 512 * 1024
# Before MQTT has admitted anybody.
STRANGERS_FRAME_BYTES_MAX: Final = 64 * 1024
_CONTROL_BYTES_MAX: Final = 125  # 5.5
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FrameError(Exception):
    """The peer broke the protocol; `code` is what a close frame says (7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `data` is unmasked."""

    opcode: int
    data: bytes


class Decoder:
    """Takes bytes as they come and gives whole frames; keeps at most one incomplete frame between calls.

    frame_bytes_max: limit of the payload of the frames still to come; may be changed at any time.
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes; `frames` gives what they complete."""
        self._buffer += data

    @property
    def held_bytes(self) -> int:
        """How much it keeps."""
        return len(self._buffer)

    def frames(self) -> Iterator[Frame]:
        """Yield every whole frame, in order; raises FrameError when it comes to what is none."""
        while (head := _head(self._buffer, self.frame_bytes_max)) is not None:
            start, length = head
            if start + length > len(self._buffer):
                return
            mask = self._buffer[start - 4 : start]
            data = _masked(bytes(self._buffer[start : start + length]), bytes(mask))
            opcode = self._buffer[0] & 0x0F
            del self._buffer[: start + length]
            yield Frame(opcode, data)


def _head(buffer: bytearray, length_max: int) -> tuple[int, int] | None:
    """Return (start, length) of the payload of the frame at the start, or None if its head is incomplete."""
    if len(buffer) < 2:
        return None
    first, second = buffer[0], buffer[1]
    if first & 0x70:
        raise FrameError(1002, "reserved bits without an extension (5.2)")
    opcode = first & 0x0F
    if opcode not in (CONTINUATION, BINARY, CLOSE, PING, PONG):
        raise FrameError(1003, f"frame with opcode {opcode}: MQTT travels in binary frames")
    if not second & 0x80:
        raise FrameError(1002, "a client masks its frames (5.1)")
    length, at = second & 0x7F, 2
    if opcode >= CLOSE and (length > _CONTROL_BYTES_MAX or not first & 0x80):
        raise FrameError(1002, "control frame that is fragmented or too long (5.5)")
    if length >= 126:
        size = 2 if length == 126 else 8
        if len(buffer) < at + size:
            return None
        length = int.from_bytes(buffer[at : at + size], "big")
        at += size
    if length > length_max:
        raise FrameError(1009, f"frame of {length} bytes, limit {length_max}")
    return (at + 4, length) if len(buffer) >= at + 4 else None


def _masked(data: bytes, mask: bytes) -> bytes:
    """Apply or remove a mask (5.3), all bytes at once."""
    if not data:
        return data
    pattern = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(len(data), "little")


def frame(opcode: int, data: bytes) -> bytes:
    """Return a whole frame from the server, which does not mask (5.1)."""
    if len(data) < 126:
        head = struct.pack(">BB", 0x80 | opcode, len(data))
    elif len(data) < 65_536:
        head = struct.pack(">BBH", 0x80 | opcode, 126, len(data))
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, len(data))
    return head + data


def accept_key(key: str) -> str:
    """Return Sec-WebSocket-Accept for a client's Sec-WebSocket-Key (4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
