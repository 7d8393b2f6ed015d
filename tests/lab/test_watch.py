"""The view of what arrives: counts of new records, answers to commands, and no trouble from strangers."""

import asyncio
import json
from types import SimpleNamespace

from host_tools.lab.watch import HubWatch


def message(records, lost=(), device="kitchen", properties=None):
    body = json.dumps({"q": "aa", "records": records, "lost": list(lost)}).encode()
    return SimpleNamespace(device_id=device, properties=properties or {"fp": "1"}, body=body)


def reading(number, temperature=21.5):
    return {"n": number, "boot": 1, "temperature": temperature}


def result(number, command_id):
    record = {"n": number, "boot": 1, "event": "result"}
    return record | {"id": command_id, "status": "done", "command": "ping", "result": {}}


def test_a_repeat_counts_once():
    async def run():
        watch = HubWatch("kitchen")
        for _ in range(2):
            watch.note(message([reading(1), reading(2, 22.0)], lost=[[3, 5]]))
        assert (watch.messages, watch.records, watch.lost) == (2, 2, 3)
        assert list(watch.temperatures) == [21.5, 22.0]

    asyncio.run(run())


def test_an_answer_wakes_who_waits_for_it():
    async def run():
        watch = HubWatch("kitchen")
        waiting = asyncio.create_task(watch.result("abc", 120))
        await asyncio.sleep(0)
        watch.note(message([reading(1)]))
        watch.note(message([result(2, "abc")]))
        assert (await waiting)["status"] == "done"
        assert await watch.result("never", 0.01) is None

    asyncio.run(run())


def test_events_are_counted_from_a_number_on():
    async def run():
        watch = HubWatch("kitchen")
        watch.note(message([result(1, "a"), result(2, "b"), reading(3), result(4, "c")]))
        assert watch.events_from("aa", 1) == 3
        assert watch.events_from("aa", 2) == 2
        assert watch.events_from("aa", 5) == 0
        assert watch.events_from("other", 1) == 0

    asyncio.run(run())


def test_messages_of_others_and_rubbish_change_nothing():
    async def run():
        watch = HubWatch("kitchen")
        watch.note(message([reading(1)], device="attic"))
        watch.note(message([reading(1)], properties={"x": "y"}))
        watch.note(SimpleNamespace(device_id="kitchen", properties={"fp": "1"}, body=b"\xff"))
        watch.note(message([{"boot": 1}]))
        assert watch.records == 0

    asyncio.run(run())
