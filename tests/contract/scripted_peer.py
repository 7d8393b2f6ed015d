"""A small MQTT 3.1.1 server over TLS, with or without WebSocket, whose every answer a test can take into its own hands.

It keeps what it was told. By itself it accepts everything and acknowledges at once. It shares the packets with the
local hub (host_tools/hub/mqtt), and no line with the device.
"""

import asyncio
import ssl

from host_tools.hub.mqtt import codec
from host_tools.hub.web import websocket


class Connection(asyncio.Protocol):
    """One connection. number: 1 for the first that said CONNECT, 0 for one that has not."""

    def __init__(self, peer):
        self.peer = peer
        self.number = 0
        self.publishes = []
        self.acknowledged = set()  # ids of PUBACKs that were sent
        self.transport = None
        self._packets = codec.Decoder()
        self._frames = None
        self._head = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self._frames is not None:
            self._framed(data)
        elif self._head or data[:4] == b"GET ":
            self._head += data
            if b"\r\n\r\n" in self._head:
                self._upgrade()
        else:
            self._taken(data)

    def send(self, data):
        """Send bytes of MQTT."""
        if not self.transport.is_closing():
            self.transport.write(data if self._frames is None else websocket.frame(websocket.BINARY, data))

    def send_raw(self, data):
        """Send bytes below MQTT."""
        self.transport.write(data)

    def close(self):
        self.transport.close()

    def puback(self, packet_id):
        self.acknowledged.add(packet_id)
        self.send(codec.puback(packet_id))

    def _upgrade(self):
        lines = self._head.decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        assert fields["sec-websocket-protocol"] == "mqtt"
        self._frames = websocket.Decoder()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: %s\r\n\r\n"
            % websocket.accept_key(fields["sec-websocket-key"]).encode()
        )

    def _framed(self, data):
        self._frames.feed(data)
        for frame in self._frames.frames():
            if frame.opcode == websocket.PONG:
                self.peer.pongs.append(frame.data)
            else:
                assert frame.opcode == websocket.BINARY
                self._taken(frame.data)

    def _taken(self, data):
        self._packets.feed(data)
        for packet in self._packets.packets():
            self.peer.take(self, packet)


class Peer:
    """The server. on_...: what a test replaces by overriding.

    connections: all that said CONNECT, so that one whose handshake took too long on a busy machine is none. connects:
    every CONNECT. pings, pubacks, subscriptions: what else was received.
    """

    def __init__(self, context):
        self.context = context
        self.connections = []
        self._accepted = []
        self.connects = []
        self.pings = 0
        self.pubacks = []
        self.pongs = []
        self.disconnects = 0
        self.port = 0
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.get_running_loop().create_server(
            self._accept, "127.0.0.1", 0, ssl=self.context, ssl_handshake_timeout=30
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for connection in self._accepted:
            if connection.transport is not None:
                connection.transport.abort()

    @property
    def publishes(self):
        """Every publish of every connection, in order."""
        return [publish for connection in self.connections for publish in connection.publishes]

    def take(self, connection, packet):
        """Note a packet and answer it."""
        if isinstance(packet, codec.Connect):
            self.connections.append(connection)
            connection.number = len(self.connections)
            self.connects.append(packet)
            self.on_connect(connection)
        elif isinstance(packet, codec.Publish):
            connection.publishes.append(packet)
            self.on_publish(connection, packet)
        elif isinstance(packet, codec.Subscribe):
            self.on_subscribe(connection, packet)
        elif isinstance(packet, codec.PubAck):
            self.pubacks.append(packet.packet_id)
        elif isinstance(packet, codec.PingRequest):
            self.pings += 1
            self.on_ping(connection)
        elif isinstance(packet, codec.Disconnect):
            self.disconnects += 1

    def on_connect(self, connection):
        connection.send(codec.connack(False, 0))

    def on_subscribe(self, connection, subscribe):
        connection.send(codec.suback(subscribe.packet_id, [1] * len(subscribe.topics)))
        self.on_ready(connection)

    def on_ready(self, connection):
        """The device has subscribed."""

    def on_publish(self, connection, publish):
        connection.puback(publish.packet_id)

    def on_ping(self, connection):
        connection.send(codec.pingresp())

    def _accept(self):
        self._accepted.append(Connection(self))
        return self._accepted[-1]


def server_context(certificate, key):
    """Return the context of a server that shows this certificate (paths, PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
