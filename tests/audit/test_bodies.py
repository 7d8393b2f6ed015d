"""The three forms of a body are read as one: what the agent writes, what the RFCs show, what is broken."""

import contextlib
import json

import cbor2
import pytest
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.records import schema
from fieldpost.records.cbor_body import CborBody
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.schemas import Schemas
from fieldpost.records.senml_body import SenmlBody
from fieldpost.records.timeline import Timeline
from fieldpost.uplink.batch import Batch
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.audit import bodies, claims

SCHEMAS = (
    ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%"),
    ReadingSchema("count,u5,0,1;level,i4,-3,m"),
    ReadingSchema("disk_used,u2,-1,%;weight,i2,2,g"),
)


class Ring:
    ring_id = 0xCAFE


def written(form, records, has_clock):
    timeline, schemas = Timeline(), Schemas()
    if has_clock:
        timeline.learn(1, 0, 1_795_447_452_123)
    for known in SCHEMAS:
        schemas.add(known)
    batch = Batch(form(Ring(), timeline, schemas), 200, 60_000)
    batch.begin(1, memoryview(bytearray(60_000)))
    for number, (kind, payload) in records:
        assert batch.add(number, kind, payload)
    return bytes(batch.body())


def packed(pack, *arguments):
    buffer = memoryview(bytearray(RECORD_BYTES_MAX))
    return bytes(buffer[: pack(buffer, 1, *arguments)])


def reading(uptime_ms, which, values):
    return schema.READING, packed(schema.pack_reading, uptime_ms, SCHEMAS[which], values)


VALUES = st.one_of(
    st.tuples(st.just(0), st.tuples(st.integers(-9000, 9000), st.integers(0, 1 << 23), st.integers(0, 10_000))),
    st.tuples(st.just(1), st.tuples(st.integers(0, (1 << 40) - 1), st.integers(-(1 << 31), (1 << 31) - 1))),
    st.tuples(st.just(2), st.tuples(st.integers(0, 1000), st.integers(-(1 << 15), (1 << 15) - 1))),
)
UPTIMES = st.integers(0, 1 << 35)
RECORDS = st.lists(
    st.one_of(
        st.builds(lambda up, one: reading(up, *one), UPTIMES, VALUES),
        st.builds(lambda up: (schema.BOOT, packed(schema.pack_boot, up, "power")), UPTIMES),
        st.builds(lambda up: (schema.ANCHOR, packed(schema.pack_anchor, up, 1_795_447_452_123)), UPTIMES),
        st.builds(lambda up: (schema.SCHEMA, packed(schema.pack_text, up, SCHEMAS[1].text.encode())), UPTIMES),
        st.builds(
            lambda up, text: (
                schema.RESULT,
                packed(schema.pack_text, up, json.dumps({"id": "7", "status": "done", "text": text}).encode()),
            ),
            UPTIMES,
            st.text(max_size=20),
        ),
        st.builds(lambda up, data: (77, packed(schema.pack_text, up, data)), UPTIMES, st.binary(max_size=100)),
        st.builds(lambda up: (schema.READING, packed(schema.pack_text, up, b"\x01\x02ab")), UPTIMES),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(RECORDS, st.lists(st.integers(0, 3), min_size=30, max_size=30), st.booleans())
def test_cbor_and_senml_say_what_json_says(records, gaps, has_clock):
    numbered, number = [], 0
    for record, gap in zip(records, gaps, strict=False):
        number += 1 + (gap if gap == 3 and sum(gaps[:number]) < 20 else 0)
        numbered.append((number, record))
    if sum(1 for index in range(1, len(numbered)) if numbered[index][0] > numbered[index - 1][0] + 1) > 6:
        numbered = [(index + 1, record) for index, record in enumerate(records)]
    expected = json.loads(written(JsonBody, numbered, has_clock))
    for form in (CborBody, SenmlBody):
        found = bodies.content(written(form, numbered, has_clock))
        assert found["records"] == expected["records"]
        assert found.get("lost") == expected.get("lost")
        assert found.get("q", "0000cafe") == expected["q"]


def test_a_library_reads_what_the_agent_calls_cbor():
    body = written(CborBody, [(1, reading(5, 0, (-50, 98765, 4800))), (2, reading(6, 0, (1, 2, 3)))], True)
    found = cbor2.loads(body)
    assert [str(value) for value in found["records"][1][4:]] == ["0.01", "0.02", "0.03"]
    assert str(found["records"][0]["temperature"]) == "-0.50"


def test_base_fields_hold_until_they_are_told_again_as_in_rfc_8428_section_5_1_3():
    pack = [
        {"bn": "0000cafe/", "bt": 1.276020076e9, "n": "n", "v": 1},
        {"n": "voltage", "u": "V", "v": 120.1},
        {"n": "n", "v": 2},
        {"n": "current", "u": "A", "v": 1.2},
        {"bt": 1.276020091e9, "n": "n", "v": 3},
    ]
    assert bodies.content(json.dumps(pack).encode()) == {
        "q": "0000cafe",
        "records": [
            {"n": 1, "t": 1_276_020_076_000, "voltage": 120.1},
            {"n": 2, "t": 1_276_020_076_000, "current": 1.2},
            {"n": 3, "t": 1_276_020_091_000},
        ],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xbf",
        b"\xbf\x61q\x61a\x67records\x81\x81\x01\xff",  # an array before any map
        b"\xbf\x67records\x82\xa1\x61n\x01\x82\x01\x02\xff",  # more values than keys
        b"[7]",
        b'[{"v":1}]',
        b'[{"n":"n","vs":"x"}]',
        b'[{"n":"lost","vs":"x"}]',
        b'[{"bn":7,"bt":"soon","n":"n","v":1}]',
        b'[{"n":"n","v":1},{"n":"up","vs":"long"}]',
    ],
)
def test_what_is_broken_is_unreadable_and_nothing_worse(body):
    with pytest.raises(claims.Unreadable):
        claims.read(body)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_stumble(data):
    for start in (b"", b"\xbf\x67records\x9f", b'[{"n":"n",'):
        with contextlib.suppress(claims.Unreadable):
            claims.read(start + data)
