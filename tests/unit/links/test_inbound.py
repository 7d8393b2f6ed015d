"""A packet that is too large is drained, and its topic still tells what is refused."""

from fieldpost.links.inbound import Inbound


class Told:
    def __init__(self):
        self.packets = []
        self.refused = []

    def packet(self, first_byte, body):
        self.packets.append((first_byte, bytes(body)))

    def oversize(self, packet_id, size, topic):
        self.refused.append((packet_id, size, bytes(topic)))


def publish(topic, payload_bytes, packet_id):
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + b"x" * payload_bytes
    size, length = len(body), b""
    while size > 127:
        length += bytes((size & 127 | 128,))
        size >>= 7
    return b"\x32" + length + bytes((size,)) + body


def test_a_message_that_is_too_large_is_told_with_its_topic():
    for topic_bytes in (3, 300, 600, 900, 1500):
        for piece in (64, 256, 5000):
            told, inbound = Told(), Inbound(2048)
            topic = b"devices/%d/" % topic_bytes + b"t" * topic_bytes
            data = memoryview(publish(topic, 3000, 77) + publish(b"small", 4, 78) + publish(b"large", 1200, 79))
            for start in range(0, len(data), piece):
                inbound.feed(data[start : start + piece], told)
            known = topic if len(topic) < 1022 else b""
            assert told.refused == [(77, len(topic) + 3004, known)], (topic_bytes, piece)
            assert [len(body) for _, body in told.packets] == [13, 1209]
