"""The name server of a board's network: it knows every name, and may be slow, silent, or deny that it does.

What it answers is an address of the documentation (RFC 5737); all of them lead to the relay.
"""

import asyncio
import struct

from host_tools.emulator.udp_server import UdpServer

_TTL_S = 60
_HEADER = struct.Struct("!HHHHHH")
_NO_SUCH_NAME = 3
_ADDRESS = bytes((192, 0, 2, 1))


class NameServer(UdpServer):
    """A server of RFC 1035, section 4, on a free UDP port of 127.0.0.1.

    delay_s: before it answers; None: it never does. knows_names: whether there are any. asked: the names so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delay_s: float | None = 0.0
        self.knows_names = True
        self.asked: list[str] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.find(b"\0", _HEADER.size) + 5  # behind the name: type and class
        if len(data) < end or end < _HEADER.size + 5:
            return
        self.asked.append(_name(data[_HEADER.size : end - 5]))
        if self.delay_s is None:
            return
        code = 0 if self.knows_names else _NO_SUCH_NAME
        head = _HEADER.pack(int.from_bytes(data[:2]), 0x8180 | code, 1, int(self.knows_names), 0, 0)
        # The name is where the question has it, at offset 12.
        record = struct.pack("!HHHIH", 0xC00C, 1, 1, _TTL_S, len(_ADDRESS)) + _ADDRESS if self.knows_names else b""
        answer = head + data[_HEADER.size : end] + record
        asyncio.get_running_loop().call_later(self.delay_s, self.send, answer, addr)


def _name(labels: bytes) -> str:
    parts = []
    while labels:
        parts.append(labels[1 : 1 + labels[0]].decode())
        labels = labels[1 + labels[0] :]
    return ".".join(parts)
