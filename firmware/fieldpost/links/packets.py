"""MQTT 3.1.1 control packets as a client sends them, each built whole in one buffer.

Every function writes at `start` of `buffer` (bytearray or memoryview) and returns the end. `NoRoom` is
raised before anything is written.
"""

import struct

from fieldpost.compat import const

CONNECT = const(0x10)
CONNACK = const(0x20)
PUBLISH = const(0x30)
PUBACK = const(0x40)
SUBSCRIBE = const(0x82)
SUBACK = const(0x90)
PINGREQ = const(0xC0)
PINGRESP = const(0xD0)
DISCONNECT = const(0xE0)

_CLEAN_SESSION = const(0x02)
_WILL = const(0x04)
_WILL_QOS_SHIFT = const(3)
_WILL_RETAIN = const(0x20)
_PASSWORD = const(0x40)
_USER_NAME = const(0x80)
_DUP = const(0x08)
_RETAIN = const(0x01)
_QOS_1 = const(0x02)


class NoRoom(Exception):
    """The packet does not fit in what is left of the buffer."""


def connect(buffer, start, dialect, password, keepalive_s):
    """CONNECT, section 3.1, as the dialect wants it.

    dialect: client_id (str); username (str or None); will: None, or (topic bytes, payload bytes, qos, retain);
    clean_session (bool). password: str or None; it needs a user name (section 3.1.2.9).
    """
    will, username = dialect.will, dialect.username
    assert password is None or username is not None
    texts = [dialect.client_id.encode()]
    flags = _CLEAN_SESSION if dialect.clean_session else 0
    if will is not None:
        topic, payload, qos, retain = will
        flags |= _WILL | qos << _WILL_QOS_SHIFT | (_WILL_RETAIN if retain else 0)
        texts += [topic, payload]
    if username is not None:
        flags |= _USER_NAME
        texts.append(username.encode())
    if password is not None:
        flags |= _PASSWORD
        texts.append(password.encode())
    length = 10
    for text in texts:
        length += 2 + len(text)
    at = _fixed_header(buffer, start, CONNECT, length)
    at = _text(buffer, at, b"MQTT")
    struct.pack_into(">BBH", buffer, at, 4, flags, keepalive_s)
    at += 4
    for text in texts:
        at = _text(buffer, at, text)
    return at


def publish(buffer, start, topic, payload, packet_id, dup, retain=False):
    """PUBLISH at QoS 1, or at QoS 0 if packet_id is 0; section 3.3. topic: bytes; payload: bytes-like."""
    at = _publish_head(buffer, start, topic, len(payload), packet_id, dup, retain)
    buffer[at : at + len(payload)] = payload
    return at + len(payload)


def publish_around(buffer, start, topic, size, packet_id, dup):
    """PUBLISH of the `size` bytes that stand at `start` of `buffer`: its head is put before them; return its start."""
    length = (4 if packet_id else 2) + len(topic) + size
    head_start = start + size - length - _fixed_header_bytes(length)
    if head_start < 0:
        raise NoRoom
    _publish_head(buffer, head_start, topic, size, packet_id, dup, False)
    return head_start


def subscribe(buffer, start, topic, qos, packet_id):
    """SUBSCRIBE to one filter, section 3.8. topic: str."""
    topic = topic.encode()
    at = _fixed_header(buffer, start, SUBSCRIBE, 5 + len(topic))
    struct.pack_into(">H", buffer, at, packet_id)
    at = _text(buffer, at + 2, topic)
    buffer[at] = qos
    return at + 1


def puback(buffer, start, packet_id):
    """PUBACK, section 3.4."""
    at = _fixed_header(buffer, start, PUBACK, 2)
    struct.pack_into(">H", buffer, at, packet_id)
    return at + 2


def empty(buffer, start, kind):
    """A packet that is its first byte alone, such as PINGREQ, section 3.12."""
    return _fixed_header(buffer, start, kind, 0)


def _publish_head(buffer, start, topic, size, packet_id, dup, retain):
    length = (4 if packet_id else 2) + len(topic) + size
    flags = (_QOS_1 if packet_id else 0) | (_DUP if dup else 0) | (_RETAIN if retain else 0)
    at = _fixed_header(buffer, start, PUBLISH | flags, length)
    at = _text(buffer, at, topic)
    if packet_id:
        struct.pack_into(">H", buffer, at, packet_id)
        at += 2
    return at


def _fixed_header_bytes(length):
    count = 2
    while length > 0x7F:
        length >>= 7
        count += 1
    return count


def _fixed_header(buffer, start, first_byte, length):
    if start + _fixed_header_bytes(length) + length > len(buffer):
        raise NoRoom
    buffer[start] = first_byte
    at = start + 1
    while length > 0x7F:
        buffer[at] = length & 0x7F | 0x80
        length >>= 7
        at += 1
    buffer[at] = length
    return at + 1


def _text(buffer, at, data):
    struct.pack_into(">H", buffer, at, len(data))
    at += 2
    buffer[at : at + len(data)] = data
    return at + len(data)
