"""SLIP frames (RFC 1055), the envelope of everything that a serial boot loader says and hears."""

from collections.abc import Iterator

_END = 0xC0
_ESCAPE = 0xDB
_ESCAPED = {0xDC: 0xC0, 0xDD: 0xDB}
_FRAME_BYTES_MAX = 0x4000 * 2 + 64  # the largest block of data, and its header


def frame(payload: bytes) -> bytes:
    """Return `payload` as a frame."""
    return b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Decoder:
    """Takes bytes as they come and gives whole frames; `stray` collects what came between them."""

    def __init__(self) -> None:
        self.stray = bytearray()
        self._frame: bytearray | None = None
        self._is_escaping = False

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._frame)

    def forget(self) -> None:
        """Give up the frame that was begun."""
        self._frame = None
        self._is_escaping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the payload of each frame that `data` ends. An empty frame only begins the next one."""
        for byte in data:
            if byte == _END:
                ended, self._frame = self._frame, None
                self._is_escaping = False
                if ended:
                    yield bytes(ended)
                else:
                    self._frame = bytearray()
            elif self._frame is None:
                self.stray.append(byte)
            else:
                self._take(byte)

    def _take(self, byte: int) -> None:
        assert self._frame is not None
        if self._is_escaping:
            self._is_escaping = False
            byte = _ESCAPED.get(byte, byte)
        elif byte == _ESCAPE:
            self._is_escaping = True
            return
        self._frame.append(byte)
        if len(self._frame) > _FRAME_BYTES_MAX:
            self.forget()
