"""The quick way for telemetry takes nothing that the codec and the property bag would refuse, and counts like them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.hub import property_bag
from host_tools.hub.mqtt import codec
from host_tools.hub.mqtt.telemetry_scan import Repeated, scan
from host_tools.hub.store import event_packet

PREFIX = b"devices/d1/messages/events/"
BAGS = st.one_of(
    st.sampled_from(["", "a=b", "%24.mid=m-1&%24.ct=application%2Fjson", "a", "a=%20%7e", "x=1&y"]),
    st.text("ab=&%24CFcf+#ü\0/", max_size=12),
    st.sampled_from(["a=%C3%BC", "a=%FF", "%", "%2", "a=%zz", "\U0001f600"]),
)
TOPICS = st.one_of(
    BAGS.map(lambda bag: PREFIX.decode() + bag),
    st.sampled_from(["devices/d2/messages/events/", "devices/d1/messages/events", "$iothub/twin/GET/?$rid=1"]),
)


@st.composite
def packets(draw):
    """One packet, mostly a PUBLISH, as bytes."""
    kind = draw(st.sampled_from(["publish"] * 8 + ["ping", "puback", "qos2", "large"]))
    if kind == "ping":
        return b"\xc0\x00"
    if kind == "puback":
        return codec.puback(5)
    qos = 2 if kind == "qos2" else draw(st.integers(0, 1))
    body = b"x" * draw(st.sampled_from([100, 127, 128, 16_383, 16_384, 40_000])) if kind == "large" else b""
    body += draw(st.binary(max_size=30))
    flags = draw(st.booleans()), draw(st.integers(0, 3)), draw(st.booleans())
    return codec.publish(draw(TOPICS), body, qos, *flags)


def accepted(data):
    """What the codec makes of bytes that it must find good: (publishes, their acknowledgements)."""
    decoder = codec.Decoder()
    decoder.feed(data)
    found = list(decoder.packets())
    for publish in found:
        assert isinstance(publish, codec.Publish) and publish.qos < 2
        assert publish.topic.startswith(PREFIX.decode())
        property_bag.decode(publish.topic[len(PREFIX) :])
    return found, b"".join(codec.puback(publish.packet_id) for publish in found if publish.qos)


@given(st.lists(st.tuples(packets(), st.sampled_from([1, 1, 2, 31, 32, 33, 70])), max_size=8), st.data())
@settings(max_examples=300)
def test_what_is_taken_is_good_and_complete(parts, data):
    """Also where many in a row have one head, with other packet ids, zero among them."""
    stream = b"".join(part * count for part, count in parts)
    if data.draw(st.booleans()) and b"\x00\x07" in stream:
        stream = stream.replace(b"\x00\x07", b"\x00\x00", 1)
    stream = stream[: data.draw(st.integers(0, len(stream)))]
    found = scan(bytearray(stream), 0, PREFIX, 100)
    if found is not None:
        publishes, acknowledgements = accepted(found.packets)
        assert stream.startswith(found.packets) and found.end == len(found.packets)
        assert (len(publishes), acknowledgements) == (found.count, found.acknowledgements)


@given(packets(), st.integers(0, 40), packets(), st.integers(0, 2), st.data())
@settings(max_examples=300)
def test_what_is_like_the_last_is_taken_as_the_codec_would(first, count, other, others, data):
    found = scan(bytearray(first), 0, PREFIX, 100)
    if found is None:
        return
    like_it = list(first * count)
    for index in data.draw(st.lists(st.integers(0, max(0, len(like_it) - 1)), max_size=3)) if like_it else ():
        like_it[index] = data.draw(st.integers(0, 255))
    stream = bytes(like_it) + other * others
    stream = stream[: len(stream) - data.draw(st.sampled_from([0, 0, 0, 1, 2]))]
    taken = Repeated(found.head, found.size).take(memoryview(stream))
    if taken is not None:
        publishes, acknowledgements = accepted(stream)
        assert (len(publishes), acknowledgements) == taken and taken[0] > 0
    if bytes(like_it) == first * count and stream == first * count and 0 < count <= 32:
        assert taken is not None and taken[0] == count


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_whatever_comes_is_judged_without_an_error(garbage):
    for stream in (garbage, b"\x32\x30\x00\x1c" + PREFIX + garbage):
        found = scan(bytearray(stream), 0, PREFIX, 100)
        if found is not None:
            accepted(found.packets)


def test_plain_telemetry_is_taken_as_a_whole():
    sizes = (0, 1, 60, 90, 91, 127, 16_300, 16_400)
    stream = b"".join(codec.publish(PREFIX.decode() + "a=%20b", b"x" * size, 1, False, 7) for size in sizes)
    found = scan(bytearray(b"zz" + stream), 2, PREFIX, 100)
    assert found is not None and found.count == len(sizes) and found.end == 2 + len(stream)
    assert scan(bytearray(stream), 0, PREFIX, 3).count == 3


def test_a_message_that_did_not_come_as_a_packet_is_kept_as_one():
    system, properties = {"message-id": "m"}, {"a": "b c", "none": None, "ü": "é"}
    packet = event_packet.encode("d1", system, properties, b"body", True)
    assert list(event_packet.decode("d1", packet * 2)) == [(system, properties, b"body", True)] * 2
    retained = codec.publish(PREFIX.decode(), b"", 0, False, 0, True)
    assert list(event_packet.decode("d1", retained)) == [({}, {"mqtt-retain": "true"}, b"", False)]
