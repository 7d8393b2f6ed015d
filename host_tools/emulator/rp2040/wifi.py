"""The Wi-Fi chip with the bench behind its access point.

Needs rp2040py, which offers no other way in than the parts of its bridge.
"""

import asyncio
import functools
from types import ModuleType
from typing import Any, cast

from rp2040py.external.cyw43 import Cyw43439, nat, net

from host_tools.emulator.rp2040.network import answer


class BenchWifi(Cyw43439):
    """Leads every TCP connection to `upstream`, (host, port), and answers names and time itself.

    room: the compiled loop (quick.py), if there is one: it gathers the bits of the bus.
    """

    def __init__(self, upstream: tuple[str, int], room: ModuleType | None = None) -> None:
        super().__init__()
        self._upstream = upstream
        if room is not None:
            cast(Any, self.bus).attach_gpio = functools.partial(room.wire, self.bus)

    def attach(self, rp2040: Any) -> None:
        """Wire it to the chip."""
        super().attach(rp2040)
        bridge = self.bus.nat_bridge
        assert bridge is not None
        bridge._udp = BenchUdp(rp2040, self.bus.queue_rx_ethernet_frame)
        bridge._tcp = nat.TcpReflector(rp2040, self.bus.queue_rx_ethernet_frame, connect_fn=self._to_hub)

    def forget_connections(self) -> None:
        """Drop what the program had open before a reset: it will use the same port numbers for others."""
        assert self.bus.nat_bridge is not None
        self.bus.nat_bridge.reset()

    async def _to_hub(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._upstream)


class BenchUdp(nat.UdpRelay):
    """Answers datagrams instead of relaying them."""

    async def _relay(
        self,
        guest_mac: bytes,
        guest_ip: bytes,
        guest_port: int,
        query: bytes,
        upstream: tuple[str, int],
        reply_src_ip: bytes,
        reply_src_port: int,
    ) -> None:
        response = answer(reply_src_port, query, nat.GATEWAY_IP)
        if response is None:
            return
        datagram = net.pack_udp(reply_src_ip, guest_ip, reply_src_port, guest_port, response)
        packet = net.pack_ipv4(reply_src_ip, guest_ip, net.IP_PROTO_UDP, datagram)
        self._queue_ethernet_frame(net.pack_ethernet(guest_mac, nat.GATEWAY_MAC, net.ETHERTYPE_IPV4, packet))
