"""Bytes from the hub to MQTT packets, of no more than a known size.

Most are small and find their place in a buffer that is always there; a larger one gets one of its own. A packet that
is larger than it may be is drained: kept of it are its packet id, so that it can be acknowledged, wherever a long topic
has put that, and its topic, if that fits. The handler hears of it. Whatever breaks the protocol raises ProtocolError;
the connection is then worth nothing any more (MQTT 3.1.1 section 4.8).
"""

from fieldpost.compat import const
from fieldpost.limits import INBOUND_HEAD_BYTES, INBOUND_RESTING_BYTES
from fieldpost.links.packets import PUBLISH

_FIRST_BYTE = const(0)
_LENGTH = const(1)
_BODY = const(2)
_STOPPED = const(3)


class ProtocolError(Exception):
    """The peer does not speak MQTT 3.1.1."""


class Inbound:
    """An incremental parser. packet_bytes_max: the largest body of a packet that is taken whole.

    handler: packet(first_byte, body) for a whole one; body: a memoryview, valid during the call.
    oversize(packet_id, size, topic) for a PUBLISH that was drained; packet_id 0 at QoS 0; topic: a memoryview,
    valid during the call, empty if it did not fit.
    """

    def __init__(self, packet_bytes_max):
        assert packet_bytes_max >= 2  # the length of a topic
        self._bytes_max = packet_bytes_max
        self._resting = memoryview(bytearray(min(packet_bytes_max, INBOUND_RESTING_BYTES)))
        self.reset()

    def reset(self):
        """Forget what was half received: a new connection begins."""
        self._body = self._resting
        self._first_byte = 0
        self._remaining = 0
        self._shift = 0
        self._filled = 0
        self._packet_id = 0
        self._stage = _FIRST_BYTE

    def stop(self):
        """Take nothing more until `reset`, not even the rest of what is being fed."""
        self._stage = _STOPPED

    def feed(self, data, handler):
        """Take `data` (memoryview) and tell the handler of every packet that it completes."""
        at = 0
        while at < len(data) and self._stage != _STOPPED:
            if self._stage == _FIRST_BYTE:
                self._first_byte = data[at]
                self._remaining = self._shift = self._filled = self._packet_id = 0
                self._stage = _LENGTH
                at += 1
            elif self._stage == _LENGTH:
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
        size = self._remaining
        if size > self._bytes_max:
            size = min(self._bytes_max, INBOUND_HEAD_BYTES)
        if size > len(self._resting):
            self._body = memoryview(bytearray(size))
        self._stage = _BODY
        return True

    def _take(self, data, at):
        """Keep what fits of the body, count the rest; return how many bytes were used."""
        count = min(len(data) - at, self._remaining - self._filled)
        room = min(count, len(self._body) - self._filled)
        if room > 0:
            self._body[self._filled : self._filled + room] = data[at : at + room]
        if self._remaining > len(self._body):
            self._find_packet_id(data, at, count)
        self._filled += count
        return count

    def _find_packet_id(self, data, at, count):
        """Keep the two bytes behind the topic (section 3.3.2), if they are among these."""
        if self._filled + count < 2:
            return
        start = 2 + (self._body[0] << 8 | self._body[1])
        for offset in range(max(start, self._filled), min(start + 2, self._filled + count)):
            self._packet_id = self._packet_id << 8 | data[at + offset - self._filled]

    def _complete(self, handler):
        body, self._body = self._body, self._resting
        self._stage = _FIRST_BYTE
        if self._remaining > len(body):
            self._complete_drained(handler, body)
        else:
            handler.packet(self._first_byte, body[: self._remaining])

    def _complete_drained(self, handler, body):
        qos = self._first_byte >> 1 & 3
        if self._first_byte & 0xF0 != PUBLISH or qos > 1 or (qos and not self._packet_id):
            raise ProtocolError("packet 0x%02x of %d bytes" % (self._first_byte, self._remaining))
        end = 2 + (body[0] << 8 | body[1])
        topic = body[2 : end if end <= len(body) else 2]
        handler.oversize(self._packet_id if qos else 0, self._remaining, topic)


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
