"""What follows the store for the page: right, in turns, and in bounded memory whatever devices send."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.dashboard import readings, watch
from host_tools.dashboard.watch import Watch
from host_tools.hub import Hub, StoredMessage
from tests.dashboard.page_bench import agents, store

OURS = {"fp": "1"}


def stored(directory, messages):
    """A folder whose store holds messages: (device, body, properties)."""

    async def fill():
        hub = Hub(directory)
        await hub.start()
        for device_id, body, properties in messages:
            await store(hub, device_id, body, properties)
        await hub.stop()

    asyncio.run(fill())


def test_it_reads_in_turns_and_comes_to_the_same(tmp_path):
    stored(tmp_path, [(f"dev{n % 3}", agents(1 + n // 3), OURS) for n in range(90)])
    at_once, in_turns = Watch(tmp_path), Watch(tmp_path)
    at_once.advance(60)
    turns = 0
    while in_turns.after < 90:
        in_turns.advance(0)
        turns += 1
    names = ["dev0", "dev1", "dev2", "none"]
    assert turns > 10 and in_turns.devices(names) == at_once.devices(names)
    assert at_once.devices(names)["dev1"]["audit"]["delivered_unique"] == 30
    assert "none" not in at_once.devices(names)
    at_once.close()
    in_turns.close()


def test_who_is_looked_at_later_has_the_same_newest_as_who_was_looked_at_all_along(tmp_path):
    stored(tmp_path, [("dev1", json.dumps({"x": n}).encode(), {}) for n in range(200)])
    all_along, later = Watch(tmp_path), Watch(tmp_path)
    all_along.recent("dev1")
    all_along.advance(60)
    later.advance(60)
    first, second = all_along.recent("dev1").as_json(), later.recent("dev1").as_json()
    assert first["messages"] == second["messages"] and len(first["messages"]) == watch.MESSAGES_SHOWN
    shared = len(second["series"]["x"])
    assert shared >= 100 and first["series"]["x"][-shared:] == second["series"]["x"]


def test_memory_is_bounded_whatever_devices_send(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "RANGES_MAX", 50)
    monkeypatch.setattr(watch, "DEVICES_MAX", 20)
    scattered = [("scattered", agents(*range(1 + 400 * n, 400 * n + 200, 2)), OURS) for n in range(5)]
    rings = [("rings", agents(1, ring=f"{n:08x}"), OURS) for n in range(60)]
    names = [("names", json.dumps({f"name{n}": n}).encode(), {}) for n in range(60)]
    long = [("long", b'{"x": 1, "y": "' + b"z" * 100_000 + b'"}', {f"p{n}": "v" * 500 for n in range(50)})] * 3
    many = [(f"many{n}", b"{}", {}) for n in range(30)]
    stored(tmp_path, [*scattered, *rings, *names, *long, *many])
    its = Watch(tmp_path)
    its.advance(60)
    told = its.devices(["scattered", "rings", "names", "long"])
    assert told["scattered"]["audit"] == told["rings"]["audit"] == {"is_too_scattered": True}
    assert len(its.recent("names").series) == watch.SERIES_MAX
    (message, *_) = its.recent("long").messages
    assert message["is_shortened"] and len(message["body"]) == watch.BODY_SHOWN_CHARS
    assert len(message["properties"]) == watch.PROPERTIES_SHOWN
    assert max(map(len, message["properties"].values())) == watch.PROPERTY_CHARS
    assert len(its._devices) == 20
    for number in range(30):
        its.recent(f"many{number}")
    assert len(its._looked_at) == watch.LOOKED_AT_MAX
    its.close()


def message(body, properties=None, content_type=None):
    system = {"content-type": content_type} if content_type else {}
    return StoredMessage(1, "dev1", None, system, properties or {}, body, 1_795_000_000_000, False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1, "b": true, "c": "2", "d": null, "e": NaN, "f": 1e999}', {"a": 1}),
        (b'{"a": {"b": 1, "c": {"d": 2}}}', {"a.b": 1}),
        (b'{"n": 5, "t": 6}', {"n": 5, "t": 6}),
        (b"{%s}" % b",".join(b'"%d": %d' % (n, n) for n in range(500)), {str(n): n for n in range(64)}),
        (b'{"%s": 1}' % (b"x" * 65), None),
        (b'{"a": %s}' % (b"9" * 400), None),
        (b'{"a": %s}' % (b"9" * 5000), None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b'[{"n":"x","v":1e999999,"bt":1e999999}]', None),
        (b"17", None),
        (b"", None),
    ],
)
def test_numbers_are_found_and_the_rest_is_left_out(body, expected):
    found = [numbers for _, numbers in readings.numbers(message(body))]
    assert found == ([expected] if expected else [])


def test_objects_in_an_array_are_readings_of_their_own():
    assert [numbers for _, numbers in readings.numbers(message(b'[{"a": 1}, {"a": 2}, 3]'))] == [{"a": 1}, {"a": 2}]


def test_events_and_times_that_no_clock_shows_are_no_readings():
    body = json.dumps({"q": "a", "records": [{"n": 1, "event": "boot", "x": 1}, {"n": 2, "t": 10**15, "x": 2}]})
    assert list(readings.numbers(message(body.encode(), OURS))) == [(1_795_000_000_000, {"x": 2})]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([None, "application/cbor", "application/json"]), st.booleans())
def test_any_bytes_hold_numbers_or_none(body, content_type, is_ours):
    for moment, numbers in readings.numbers(message(body, OURS if is_ours else {}, content_type)):
        assert isinstance(moment, int) and all(isinstance(number, float) for number in numbers.values())
