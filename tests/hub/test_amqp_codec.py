"""AMQP's values, frames and messages: there and back, and whatever bytes a stranger sends."""

import contextlib
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.hub.amqp import framing, message, performatives, types
from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.types import Described, Int, Long, Malformed, Symbol, Timestamp, UByte, UInt, ULong, UShort

INTEGERS = [
    st.integers(0, 2**bits - 1).map(kind) for kind, bits in ((UByte, 8), (UShort, 16), (UInt, 32), (ULong, 64))
] + [st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(kind) for kind, bits in ((Int, 32), (Long, 64))]
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    *INTEGERS,
    st.integers(-(2**63), 2**63 - 1).map(Timestamp),
    st.floats(allow_nan=False),
    st.uuids(),
    st.binary(max_size=300),
    st.text(max_size=300).filter(lambda text: text.isprintable()),
    st.text("abc:$-", max_size=300).map(Symbol),
)
KEYS = st.one_of(st.text("abc", max_size=4), st.text("abc", max_size=4).map(Symbol), INTEGERS[2])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(Described, INTEGERS[3], inner),
    ),
    max_leaves=20,
)


def same(one, other):
    """Equal, and of the same types throughout."""
    if isinstance(one, list):
        return type(other) is list and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, Described):
        return same(one.descriptor, other.descriptor) and same(one.value, other.value)
    return type(one) is type(other) and one == other


@given(VALUES)
def test_values_come_back_with_their_types(value):
    data = types.encode(value)
    found, end = types.decode(data)
    assert end == len(data) and same(value, found)


@given(VALUES, st.data())
def test_a_value_cut_short_is_malformed(value, data):
    encoded = types.encode(value)
    with pytest.raises(Malformed):
        types.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("40", None),
        ("43", 0),
        ("44", 0),
        ("45", []),
        ("5201", 1),
        ("54ff", -1),
        ("5600", False),
        ("a1027879", "xy"),
        ("e0 0a 02 a3 04 6e616d65 00".replace(" ", ""), None),
        ("e006 02 a1 0161 0162".replace(" ", ""), ["a", "b"]),
        ("f0 00000009 00000002 70 0000000100000002".replace(" ", "")[:-8], None),
        ("98" + "00" * 16, UUID(int=0)),
    ],
)
def test_constructors_of_the_standard(data, value):
    raw = bytes.fromhex(data)
    if value is None and data != "40":
        with pytest.raises(Malformed):
            types.decode(raw)
    else:
        assert types.decode(raw) == (value, len(raw))


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 5000,  # described types of described types
        b"\xc0\x02\x01" * 2000,  # lists of lists
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four milliards of nothing
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\xd1\x00\x00\x00\x06\x00\x00\x00\x02\x45\x40",  # a list as the key of a map
        b"\xc1\x02\x01\x40",  # half a pair
        b"\xa1\x02\xff\xfe",
        b"\xa3\x02\xff\xfe",
        b"\x01",
        b"",
    ],
)
def test_what_is_no_value_is_malformed(data):
    with pytest.raises(Malformed):
        types.decode(data)


@given(st.binary(max_size=2000))
@settings(max_examples=500)
def test_whatever_bytes_are_a_value_or_malformed(data):
    for parse in (types.decode, message.parse):
        with contextlib.suppress(Malformed):
            parse(data)


@given(st.binary(max_size=600), st.booleans())
@settings(max_examples=300)
def test_whatever_bytes_are_frames_or_malformed_and_nothing_piles_up(data, expects_header):
    decoder = framing.Decoder()
    decoder.expects_header = expects_header
    try:
        for start in range(0, len(data), 7):
            decoder.feed(data[start : start + 7])
            list(decoder.frames())
            assert len(decoder._buffer) <= framing.FRAME_BYTES_MIN_MAX + 7
    except Malformed:
        pass


PERFORMATIVES = st.one_of(
    st.builds(performatives.Open, st.text("abc"), st.none() | st.text("abc"), INTEGERS[2], INTEGERS[1], INTEGERS[2]),
    st.builds(performatives.Begin, st.none() | INTEGERS[1], INTEGERS[2], INTEGERS[2], INTEGERS[2], INTEGERS[2]),
    st.builds(performatives.Flow, INTEGERS[2], INTEGERS[2], INTEGERS[2], INTEGERS[2], INTEGERS[2]),
    st.builds(performatives.Detach, INTEGERS[2], st.booleans()),
    st.builds(performatives.Close, st.just(performatives.error("amqp:not-found", "text"))),
)


@given(
    st.lists(st.tuples(st.integers(0, 65535), PERFORMATIVES, st.binary(max_size=50)), max_size=5), st.integers(1, 50)
)
def test_frames_come_back_however_the_network_cuts_them(sent, piece):
    data = b"".join(framing.frame(channel, performative, payload) for channel, performative, payload in sent)
    decoder, found = framing.Decoder(), []
    decoder.frame_bytes_max = 65536
    decoder.expects_header = False
    for start in range(0, len(data), piece):
        decoder.feed(data[start : start + piece])
        found += decoder.frames()
    assert [(frame.channel, frame.performative, frame.payload) for frame in found] == sent


def test_fields_of_a_wrong_type_are_malformed():
    good = types.encode(Described(ULong(0x13), [UInt(1), UInt(1), UInt(1), UInt(1)]))
    assert performatives.parse(types.decode(good)[0]).incoming_window == 1
    for fields in ([UInt(1)], ["x"] * 4, [UInt(1), Int(1), UInt(1), UInt(1)], [UInt(1)] * 12, {}):
        with pytest.raises(Malformed):
            performatives.parse(Described(ULong(0x13), fields))
    for other in (None, 3, Described(ULong(0x99), []), Described("x", []), Described([], [])):
        with pytest.raises(Malformed):
            performatives.parse(other)


def test_messages_come_back():
    sent = Message(
        b"body",
        None,
        {
            "message-id": "m",
            "content-type": "text/plain",
            "absolute-expiry-time": Timestamp(7),
            "group-sequence": UInt(1),
        },
        {"a": "b", "none": None},
        {"x-opt-offset": "3"},
    )
    assert message.parse(sent.as_bytes()) == sent
    assert message.parse(Message(value="token").as_bytes()).value == "token"
