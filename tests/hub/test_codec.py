"""The server's MQTT codec: every packet whole, cut anywhere, and garbage."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.hub.mqtt import codec

CONNECT = b"\x10\x1b\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03dev\x00\x04user\x00\x04pass"
STREAM = [
    (CONNECT, codec.Connect(4, True, 60, "dev", None, "user", b"pass")),
    (b"\x3b\x07\x00\x01a\x00\x09xy", codec.Publish("a", b"xy", 1, True, True, 9)),
    (b"\x30\x05\x00\x01axy", codec.Publish("a", b"xy", 0, False, False, 0)),
    (b"\x40\x02\x00\x05", codec.PubAck(5)),
    (b"\x82\x08\x00\x07\x00\x03a/#\x01", codec.Subscribe(7, (("a/#", 1),))),
    (b"\xa2\x07\x00\x07\x00\x03a/#", codec.Unsubscribe(7, ("a/#",))),
    (b"\xc0\x00", codec.PingRequest()),
    (b"\xe0\x00", codec.Disconnect()),
]


def decode(data):
    decoder = codec.Decoder()
    decoder.feed(data)
    return list(decoder.packets())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_stream_may_be_cut_anywhere(size):
    data = b"".join(raw for raw, _ in STREAM)
    decoder = codec.Decoder()
    found = []
    for at in range(0, len(data), size):
        decoder.feed(data[at : at + size])
        found += decoder.packets()
    assert found == [packet for _, packet in STREAM]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x10\x02\x00\x04",  # shorter than it announces
        b"\x00\x00",
        b"\xf0\x00",
        b"\x20\x02\x00\x00",  # CONNACK from a client
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x32\x05\x00\x01a\x00\x00",  # packet id 0
        b"\x30\x03\x00\x01#",  # wildcard in a topic name
        b"\x30\x03\x00\x01\xff",  # not UTF-8
        b"\x80\x02\x00\x01",  # flags of SUBSCRIBE
        b"\x82\x02\x00\x01",  # no filter
        b"\xc0\x01\x00",  # PINGREQ with a body
        b"\x30\xff\xff\xff\xff\x01",  # remaining length of five bytes
        b"\x30\xff\xff\xff\x7f",  # 256 MB announced
        CONNECT.replace(b"MQTT", b"MQTS"),
        CONNECT.replace(b"\x04\xc2", b"\x04\xc3"),  # reserved flag
        CONNECT.replace(b"\x04\xc2", b"\x04\x42"),  # password without user name
    ],
)
def test_garbage_is_a_protocol_error(garbage):
    with pytest.raises(codec.ProtocolError):
        decode(garbage)


def test_another_protocol_level_is_told_apart_from_garbage():
    packet = decode(CONNECT.replace(b"MQTT\x04", b"MQTT\x05"))[0]
    assert isinstance(packet, codec.Connect) and packet.protocol_level == 5


def outcome(data, cuts):
    """Return the packets of a stream that arrives in pieces, and the error that ended it, if one did."""
    decoder = codec.Decoder(packet_bytes_max=200)
    found = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, end in pairwise(edges):
            decoder.feed(data[start:end])
            for packet in decoder.packets():
                found.append(packet)
    except codec.ProtocolError as error:
        return found, str(error)
    return found, None


PIECES = st.one_of(st.binary(max_size=40), st.sampled_from([raw for raw, _ in STREAM]))


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(0, 400), max_size=6))
def test_any_bytes_give_packets_or_an_error_wherever_they_are_cut(data, cuts):
    assert outcome(data, cuts) == outcome(data, [])


def test_what_comes_before_garbage_is_given_first():
    packets, error = outcome(STREAM[3][0] + b"\xff" + STREAM[4][0], [])
    assert packets == [STREAM[3][1]] and "type 15" in error


def test_an_announced_size_is_refused_before_it_is_awaited():
    decoder = codec.Decoder(packet_bytes_max=100)
    decoder.feed(b"\x10\x65")
    with pytest.raises(codec.ProtocolError, match="101 bytes, limit 100"):
        next(decoder.packets())


@given(
    st.text(min_size=1, max_size=50, alphabet=st.characters(exclude_characters="+#\0", exclude_categories=["Cs"])),
    st.binary(max_size=300),
    st.integers(0, 1),
    st.booleans(),
    st.integers(1, 65_535),
)
def test_what_is_published_is_what_is_decoded(topic, payload, qos, duplicate, packet_id):
    raw = codec.publish(topic, payload, qos, duplicate and bool(qos), packet_id)
    expected = codec.Publish(topic, payload, qos, False, duplicate and bool(qos), packet_id if qos else 0)
    assert decode(raw) == [expected]


def test_answers_are_byte_exact():
    assert codec.connack(True, 5) == b"\x20\x02\x01\x05"
    assert codec.puback(258) == b"\x40\x02\x01\x02"
    assert codec.suback(7, [1, 0x80]) == b"\x90\x04\x00\x07\x01\x80"
    assert codec.unsuback(7) == b"\xb0\x02\x00\x07"
    assert codec.pingresp() == b"\xd0\x00"
