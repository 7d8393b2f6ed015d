"""Bytes from the hub to MQTT packets, in a buffer of a known size.

A packet that is larger than the buffer is drained: its beginning is kept as long as topic and packet id need,
the rest is passed over, and the handler hears of it. Whatever breaks the protocol raises ProtocolError; the
connection is then worth nothing any more (MQTT 3.1.1 section 4.8).
"""


class ProtocolError(Exception):
    """The peer does not speak MQTT 3.1.1."""


class Inbound:
    """An incremental parser. packet_bytes_max: the largest body of a packet that is taken whole.

    handler: packet(first_byte, body) for a whole one, oversize(first_byte, beginning, size) for one that was
    drained. body, beginning: memoryviews, valid during the call.
    """

    def __init__(self, packet_bytes_max):
        self._body = memoryview(bytearray(packet_bytes_max))
        self.reset()

    def reset(self):
        """Forget what was half received: a new connection begins."""
        self._first_byte = 0
        self._remaining = 0
        self._shift = 0
        self._filled = 0
        self._stage = 0  # 0: first byte, 1: remaining length, 2: body

    def feed(self, data, handler):
        """Take `data` (memoryview) and tell the handler of every packet that it completes."""
        at = 0
        while at < len(data):
            if self._stage == 0:
                self._first_byte = data[at]
                self._remaining = self._shift = self._filled = 0
                self._stage = 1
                at += 1
            elif self._stage == 1:
                at += 1
                if self._length_byte(data[at - 1]) and not self._remaining:
                    self._complete(handler)
            else:
                at += self._take(data, at)
                if self._filled == self._remaining:
                    self._complete(handler)

    def _length_byte(self, byte):
        """Add one byte of the remaining length (section 2.2.3); return whether it was the last."""
        if self._shift > 21:
            raise ProtocolError("remaining length of more than four bytes")
        self._remaining |= (byte & 0x7F) << self._shift
        self._shift += 7
        if byte & 0x80:
            return False
        self._stage = 2
        return True

    def _take(self, data, at):
        """Keep what fits of the body, count the rest; return how many bytes were used."""
        count = min(len(data) - at, self._remaining - self._filled)
        room = min(count, len(self._body) - self._filled)
        if room > 0:
            self._body[self._filled : self._filled + room] = data[at : at + room]
        self._filled += count
        return count

    def _complete(self, handler):
        self._stage = 0
        if self._remaining > len(self._body):
            handler.oversize(self._first_byte, self._body, self._remaining)
        else:
            handler.packet(self._first_byte, self._body[: self._remaining])


def publish_parts(first_byte, body):
    """Return (topic, packet_id, payload offset) of a PUBLISH; packet_id 0 at QoS 0. ProtocolError if malformed."""
    qos = first_byte >> 1 & 3
    if len(body) < 2 or qos > 1:
        raise ProtocolError("malformed PUBLISH")
    end = 2 + (body[0] << 8 | body[1])
    if end + 2 * qos > len(body):
        raise ProtocolError("malformed PUBLISH")
    packet_id = body[end] << 8 | body[end + 1] if qos else 0
    if qos and not packet_id:
        raise ProtocolError("PUBLISH with packet id 0")
    return body[2:end], packet_id, end + 2 * qos


def packet_id_of(body):
    """Return the packet id that an acknowledgement begins with; ProtocolError if it is too short."""
    if len(body) < 2:
        raise ProtocolError("acknowledgement without packet id")
    return body[0] << 8 | body[1]
