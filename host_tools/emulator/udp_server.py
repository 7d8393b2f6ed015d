"""What the servers of a board's network have in common: a UDP port of 127.0.0.1."""

import asyncio


class UdpServer(asyncio.DatagramProtocol):
    """On a free port, told by `port` once started. Who extends it takes `datagram_received` and answers by `send`."""

    def __init__(self) -> None:
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Begin to listen at `port`."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))

    def stop(self) -> None:
        """Close; what has not been answered stays so."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram, unless it has been stopped."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)
