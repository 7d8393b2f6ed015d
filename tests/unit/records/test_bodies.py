"""The three forms of a message body, over one ring: vectors of the RFCs, and the same records in each."""

import json
from binascii import hexlify

from fieldpost.limits import RECORD_BYTES_MAX, RECORD_TEXT_BYTES_MAX, RESULT_TEXT_BYTES_MAX
from fieldpost.records import schema
from fieldpost.records.cbor_body import CborBody
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.schemas import Schemas
from fieldpost.records.senml_body import SenmlBody
from fieldpost.records.timeline import Timeline
from fieldpost.uplink.batch import Batch

UTC_MS = 1795447452123
WEATHER = ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%")


class NoRing:
    ring_id = 0x1A2B3C4D


def body_of(form, has_clock=True):
    timeline, schemas = Timeline(), Schemas()
    schemas.add(WEATHER)
    if has_clock:
        timeline.learn(3, 0, UTC_MS)
    return form(NoRing, timeline, schemas)


def reading(values=(2150, 98765, 4800), uptime_ms=1000):
    buffer = memoryview(bytearray(RECORD_BYTES_MAX))
    return buffer[: schema.pack_reading(buffer, 3, uptime_ms, WEATHER, values)]


def text_of(kind, text):
    buffer = memoryview(bytearray(RECORD_BYTES_MAX))
    return kind, buffer[: schema.pack_text(buffer, 3, 2000, text)]


def message(form, records, has_clock=True):
    batch = Batch(body_of(form, has_clock), 100, 4000)
    batch.begin(1, memoryview(bytearray(4000)))
    for number, kind, payload in records:
        assert batch.add(number, kind, payload)
    return bytes(batch.body())


def test_cbor_heads_and_integers_are_those_of_rfc_8949_appendix_a():
    body = body_of(CborBody)
    for value, expected in (
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (100, "1864"),
        (1000, "1903e8"),
        (1000000, "1a000f4240"),
        (1000000000000, "1b000000e8d4a51000"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-10, "29"),
        (-100, "3863"),
        (-1000, "3903e7"),
        (-18446744073709551616, "3bffffffffffffffff"),
    ):
        body._at = 0
        body._integer(value)
        assert str(hexlify(body._buffer[: body._at]), "ascii") == expected, value
    body._at = 0
    body._text("IETF")
    assert bytes(body._buffer[: body._at]) == b"\x64IETF"


def test_a_decimal_fraction_is_that_of_rfc_8949_section_3_4_4():
    body = body_of(CborBody)
    body._at = 0
    body._decimal(27315, -2)
    assert str(hexlify(body._buffer[: body._at]), "ascii") == "c48221196ab3"


def test_cbor_says_the_keys_once():
    found = message(
        CborBody, [(120, schema.READING, reading()), (121, schema.READING, reading((-5, 98764, 4801), 2000))]
    )
    head = b"\xbf\x61q\x681a2b3c4d\x67records\x9f"
    first = (
        b"\xa7\x61n\x18\x78\x61t\x1b" + (UTC_MS + 1000).to_bytes(8, "big") + b"\x64boot\x03\x62up\x19\x03\xe8"
        b"\x6btemperature\xc4\x82\x21\x19\x08\x66\x68pressure\xc4\x82\x21\x1a\x00\x01\x81\xcd"
        b"\x68humidity\xc4\x82\x21\x19\x12\xc0"
    )
    second = (
        b"\x87\x18\x79\x1b" + (UTC_MS + 2000).to_bytes(8, "big") + b"\x03\x19\x07\xd0"
        b"\xc4\x82\x21\x24\xc4\x82\x21\x1a\x00\x01\x81\xcc\xc4\x82\x21\x19\x12\xc1"
    )
    lost = b"\x64lost\x81\x82\x01\x18\x77"
    assert found == head + first + second + b"\xff" + lost + b"\xff"


def test_senml_is_one_pack_with_base_name_base_time_and_registered_units():
    found = message(SenmlBody, [(2, schema.READING, reading())])
    assert json.loads(found) == [
        {"bn": "1a2b3c4d/", "bt": 1795447453.123, "n": "n", "v": 2},
        {"n": "boot", "v": 3},
        {"n": "up", "u": "s", "v": 1.0},
        {"n": "temperature", "u": "Cel", "v": 21.5},
        {"n": "pressure", "u": "hPa", "v": 987.65},
        {"n": "humidity", "u": "%RH", "v": 48.0},
        {"n": "lost", "vs": "1-1"},
    ]
    assert b'"bt":1795447453.123,' in found and b'"v":21.50}' in found, "floats of 32 bits would spoil both"


def test_without_the_time_of_day_no_form_invents_one():
    records = [(1, schema.READING, reading())]
    assert "t" not in json.loads(message(JsonBody, records, False))["records"][0]
    assert b"\xa6\x61n\x01\x64boot" in message(CborBody, records, False)
    assert json.loads(message(SenmlBody, records, False))[0]["bt"] == 0


def test_keys_are_told_again_when_they_change_and_in_each_message():
    body = body_of(CborBody)
    body.begin()
    sizes = []
    one = schema.READING, reading()
    records = (one, one, text_of(schema.ALARM, b'{"what":"sensor"}'), one, one)
    for index in range(5):
        data = body.record(index + 1, *records[index])
        sizes.append(data[0] >> 5)
    assert sizes == [5, 4, 5, 5, 4], "5 is a map, 4 an array (RFC 8949 section 3.1)"
    body.begin()
    assert body.record(6, schema.READING, reading())[0] >> 5 == 5


def test_an_answer_keeps_every_character_in_senml():
    text = b'{"id":"a","text":"say \\"hi\\" \\\\ there"}'
    found = json.loads(message(SenmlBody, [(1,) + text_of(schema.RESULT, text)]))
    assert found[3:] == [{"n": "event", "vs": "result"}, {"n": "json", "vs": str(text, "utf-8")}]


def test_a_message_with_lost_numbers_alone_is_whole_in_each_form():
    for form, expected in (
        (JsonBody, b'{"q":"1a2b3c4d","records":[],"lost":[[1,7]]}'),
        (CborBody, b"\xbf\x61q\x681a2b3c4d\x67records\x9f\xff\x64lost\x81\x82\x01\x07\xff"),
        (SenmlBody, b'[{"bn":"1a2b3c4d/","n":"lost","vs":"1-7"}]'),
    ):
        batch = Batch(body_of(form), 100, 4000)
        batch.begin(1, memoryview(bytearray(4000)))
        batch.add_lost_through(7)
        assert bytes(batch.body()) == expected


def test_the_largest_records_fit_in_each_form():
    number = (1 << 48) - 1
    for form in (JsonBody, CborBody, SenmlBody):
        body = body_of(form)
        for kind, payload in (
            (99, memoryview(b"\xff" * RECORD_BYTES_MAX)),
            (schema.READING, memoryview(b"\xff" * RECORD_BYTES_MAX)),
            text_of(schema.RESULT, b'{"' + b'"' * (RESULT_TEXT_BYTES_MAX - 4) + b'"}'),
        ):
            body.begin()
            assert len(body.record(number, kind, payload)) <= RECORD_TEXT_BYTES_MAX, (form, kind)


def test_a_reading_costs_cbor_two_fifths_of_json():
    sizes = {}
    for form in (JsonBody, CborBody, SenmlBody):
        body = body_of(form)
        body.begin()
        for number in (100000, 100001):
            sizes[form] = len(body.record(number, schema.READING, reading(uptime_ms=123456789)))
    assert sizes[CborBody] * 5 <= sizes[JsonBody] * 2, sizes
    assert sizes[SenmlBody] < 2.1 * sizes[JsonBody], sizes
