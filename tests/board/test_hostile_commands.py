"""Commands that nobody should send, to the whole device: each is answered, nothing moves, and the readings go on."""

import asyncio
import base64
import hmac
import json
import random
import time

import pytest
import pytest_asyncio

from host_tools.errors import UserError
from host_tools.hub.commands import COMMAND_BYTES_MAX
from host_tools.lab.folder import LabFolder
from host_tools.lab.lab import Lab, running
from host_tools.lab.settings import Settings

ANSWER_S_MAX = 120.0
QUEUE_MAX = 50  # what IoT Hub holds for a device before it refuses
FLOOD_IN_CI = 300
FLOOD = 10_000
HEAP_GROWTH_BYTES_MAX = 16_384  # the agent collects at least this often, and garbage counts


def command(name, **arguments):
    return json.dumps({"command": name, "arguments": arguments}).encode()


# What is sent, and what the answer must name.
REFUSED = {
    "unknown command": (command("gpio.fly"), "no such command"),
    "half a JSON": (b'{"command": "gpio.set", "arguments": {"pin": "relay", "val', "not JSON"),
    "a bracket short": (b'{"command": "gpio.set", "arguments": {"pin": "relay", "value": 1}', "not JSON"),
    "more than JSON": (command("gpio.set", pin="relay", value=1) + b"}", "not JSON"),
    "no text": (b"\xff\xfe\x00", "not JSON"),
    "nested deeply": (b"[" * 1500 + b"]" * 400, "not JSON"),
    "no object": (b"[1]", "no JSON object"),
    "nothing": (b"", "expected"),
    "a name that is no text": (b'{"command": 5}', "expected"),
    "arguments that are no object": (b'{"command": "ping", "arguments": [1]}', "expected"),
    "a long name": (command("x" * 500), "no such command"),
    "pin of a wrong type": (command("gpio.set", pin=26, value=1), "pin"),
    "pin by its number": (command("gpio.set", pin="26", value=1), "pin"),
    "unknown pin": (command("gpio.set", pin="toaster", value=1), "toaster"),
    "an input to drive": (command("gpio.set", pin="button", value=1), "not allowed for pin button"),
    "value out of range": (command("gpio.set", pin="relay", value=2), "value"),
    "value of a wrong type": (command("gpio.set", pin="relay", value="1"), "value"),
    "value true": (command("gpio.set", pin="relay", value=True), "value"),
    "a fraction": (command("gpio.set", pin="relay", value=0.5), "value"),
    "no value": (command("gpio.set", pin="relay"), "value"),
    "one argument too many": (command("gpio.set", pin="relay", value=1, force=1), "force"),
    "a pulse of nothing": (command("gpio.pulse", pin="relay", width_ms=0), "width_ms"),
    "a pulse beyond the pin's limit": (command("gpio.pulse", pin="relay", width_ms=10_001), "for pin relay"),
    "a pulse of ages": (command("gpio.pulse", pin="relay", width_ms=10**30), "width_ms"),
    "a pattern of nothing": (command("gpio.pattern", pin="relay", durations_ms=[]), "durations_ms"),
    "a pattern with a bad part": (command("gpio.pattern", pin="relay", durations_ms=[5, -5]), "durations_ms[1]"),
    "a purge that nobody confirmed": (command("queue.purge", confirm="00000000"), "confirm"),
}


# One board for all: it has to stand them one after the other.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory):
    folder = LabFolder("hostile", tmp_path_factory.mktemp("lab"))
    async with running(folder, Settings(sample_interval_ms=200), print) as running_lab:
        await running_lab.await_first_reading()
        yield running_lab


def edges(lab):
    return {name: len(pin.edges) for name, pin in lab.pins.items()}


async def sent(lab, body, message_id, **keys):
    """Send a body and return the answer, once the hub has nothing left for the board."""
    await lab.hub.send(lab.device_id, body, {}, message_id=message_id, **keys)
    answer = await lab.watch.result(message_id, ANSWER_S_MAX)
    await nothing_waits(lab)
    return answer


async def nothing_waits(lab):
    async with asyncio.timeout(ANSWER_S_MAX):
        while lab.hub.pending(lab.device_id):
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_bad_commands_are_refused_with_a_reason_and_move_nothing(lab):
    before, boots = edges(lab), lab.board.boots
    for number, (what, (body, named)) in enumerate(REFUSED.items()):
        answer = await sent(lab, body, f"bad-{number}")
        assert answer is not None, f"{what}: no answer; {lab.last_words()}"
        assert (answer["status"], named in answer["result"]["reason"]) == ("refused", True), (what, answer)

    stale_hub = lab.hub.clock
    lab.hub.clock = lambda: stale_hub() - 3600.0  # holds for fresh what the board knows to be expired
    expired = await sent(lab, command("gpio.set", pin="relay", value=1), "expired", expiry_unix_s=time.time() - 60)
    lab.hub.clock = stale_hub
    assert (expired["status"], "expired" in expired["result"]["reason"]) == ("refused", True), expired
    assert edges(lab) == before

    pulse = command("gpio.pulse", pin="relay", width_ms=1)
    assert (await sent(lab, pulse, "twice"))["status"] == "done"
    await lab.hub.send(lab.device_id, pulse, {}, message_id="twice")
    assert (await sent(lab, command("ping"), "after the replay"))["status"] == "done"
    assert edges(lab) == before | {"relay": before["relay"] + 2}, "a replay moved the pin"

    assert lab.board.boots == boots and not lab.board.has_crashed
    conversions = lab.board.bme280.conversions
    async with asyncio.timeout(ANSWER_S_MAX):
        while lab.board.bme280.conversions < conversions + 3:
            await asyncio.sleep(0.02)
    assert (await lab.audit()).is_whole


def flood_of(count):
    """Yield (message id, body, expected status) of a flood in which nothing may move a pin."""
    chance = random.Random(10)
    bad = [body for body, _ in REFUSED.values()]
    for number in range(count):
        if number % 3 == 0:
            yield f"flood-{number}", command("ping"), "done"
        elif number % 3 == 1:
            yield f"flood-{number}", command("gpio.get", pin="button"), "done"
        else:
            yield f"flood-{number}", chance.choice(bad), "refused"


async def feed(lab, flood):
    """Send as fast as the hub takes it."""
    for message_id, body, _ in flood:
        while True:
            try:
                await lab.hub.send(lab.device_id, body, {}, message_id=message_id)
                break
            except UserError:
                assert lab.hub.pending(lab.device_id) == QUEUE_MAX
                await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("count", [FLOOD_IN_CI, pytest.param(FLOOD, marks=pytest.mark.exhaustive)])
async def test_a_flood_is_answered_one_by_one_while_the_readings_go_on(lab, count):
    statuses = {}

    def note(message):
        for record in json.loads(message.body)["records"]:
            if record.get("event") == "result":
                statuses.setdefault(record["id"], []).append(record["status"])

    flood = list(flood_of(count))
    await feed(lab, flood_of(QUEUE_MAX))  # so that everything the board loads late is loaded
    await nothing_waits(lab)
    before, boots, heap = edges(lab), lab.board.boots, lab.board.heap_peak_bytes
    conversions, reading = lab.board.bme280.conversions, lab.watch.reading["n"]
    lab.hub.on_message(note)
    flood = [(f"again-{message_id}", body, status) for message_id, body, status in flood]
    lab.board.link.down()
    await feed(lab, flood[:QUEUE_MAX])
    with pytest.raises(UserError, match="50"):
        await lab.hub.send(lab.device_id, command("ping"), {})
    lab.board.link.up()
    await feed(lab, flood[QUEUE_MAX:])
    await nothing_waits(lab)
    await sent(lab, command("ping"), "last")

    unanswered = [message_id for message_id, _, _ in flood if message_id not in statuses]
    assert unanswered == []
    wrong = [(message_id, statuses[message_id]) for message_id, _, status in flood if statuses[message_id] != [status]]
    assert wrong == []
    assert edges(lab) == before
    assert lab.board.boots == boots, f"it restarted: {lab.board.reset_causes}"
    assert lab.board.heap_peak_bytes - heap <= HEAP_GROWTH_BYTES_MAX
    assert lab.board.bme280.conversions > conversions and lab.watch.reading["n"] > reading, "no reading came through"
    assert (await lab.audit()).is_whole


KEY = bytes(range(32))
POLICY = {"allow": ["ping", "gpio.set", "gpio.pulse"], "signed": ["gpio.pulse"]}


def signature(device_id, message_id, expiry_s, body, key=KEY):
    """Return it as docs/commands.md says."""
    lines = f"{device_id}\n{message_id}\n{int(expiry_s * 1000)}\ngpio.pulse\n".encode() + body
    return hmac.new(key, lines, "sha256").hexdigest()


@pytest.mark.slow
async def test_a_dangerous_command_needs_a_signature_of_its_own(tmp_path, monkeypatch):
    config, identity = Lab.config, Lab.identity
    command_key = base64.b64encode(KEY).decode()
    monkeypatch.setattr(Lab, "config", lambda lab: config(lab) | {"commands": POLICY})
    monkeypatch.setattr(Lab, "identity", lambda lab: identity(lab) | {"command_key": command_key})
    async with running(LabFolder("signed", tmp_path), Settings(), print) as lab:
        await lab.await_first_reading()
        before, expiry_s = edges(lab), float(int(time.time()) + 600)
        body = command("gpio.pulse", pin="relay", width_ms=5)

        async def answer(message_id, sig, sent_body=body, expires_s=expiry_s):
            properties = {} if sig is None else {"sig": sig}
            await lab.hub.send(lab.device_id, sent_body, properties, message_id=message_id, expiry_unix_s=expires_s)
            found = await lab.watch.result(message_id, ANSWER_S_MAX)
            return found["status"], found["result"].get("reason", "")

        right = signature(lab.device_id, "right", expiry_s, body)
        assert await answer("unsigned", None) == ("refused", "gpio.pulse needs a signature")
        wrong = ("refused", "the signature is wrong")
        assert await answer("key", signature(lab.device_id, "key", expiry_s, body, bytes(32))) == wrong
        assert await answer("stolen", right) == wrong, "it was for another message"
        assert await answer("right", right, expires_s=expiry_s + 60) == wrong, "it lives longer than was signed"
        assert (
            await answer("other", signature(lab.device_id, "other", expiry_s, body), body[:-2] + b"}}" + b" ") == wrong
        )
        assert (await answer("not allowed", None, command("gpio.get", pin="relay")))[0] == "refused"
        assert edges(lab) == before
        signed = signature(lab.device_id, "good", expiry_s, body)
        assert await answer("good", signed) == ("done", "")
        assert edges(lab) == before | {"relay": before["relay"] + 2}


@pytest.mark.slow
async def test_a_body_of_64_kib_costs_nothing_but_itself(lab):
    before, heap = edges(lab), lab.board.heap_peak_bytes
    body = command("gpio.set", pin="relay", value=1, note="x" * (COMMAND_BYTES_MAX - 400))
    await lab.hub.send(lab.device_id, body, {}, message_id="large")
    answer = await lab.watch.result("large", ANSWER_S_MAX)
    assert (answer["status"], "bytes" in answer["result"]["reason"]) == ("refused", True)
    await nothing_waits(lab)
    assert edges(lab) == before
    assert lab.board.heap_peak_bytes - heap <= HEAP_GROWTH_BYTES_MAX
    assert (await sent(lab, command("ping"), "after it"))["status"] == "done"


# What is called, and the status and reason that come back. What is no JSON, the hub refuses to pass on.
REFUSED_CALLS = {
    "unknown": ("gpio.fly", b"{}", 404, "no such command"),
    "no object": ("gpio.set", b"[1]", 400, "no JSON object"),
    "pin by its number": ("gpio.set", b'{"pin": "26", "value": 1}', 400, "pin is"),
    "value of a wrong type": ("gpio.set", b'{"pin": "relay", "value": "1"}', 400, "value is"),
    "a pulse of ages": ("gpio.pulse", b'{"pin": "relay", "width_ms": 99999999999}', 400, "width_ms is"),
    "a purge that nobody confirmed": ("queue.purge", b'{"confirm": "00000000"}', 400, "confirm"),
    "64 KiB": ("gpio.set", b'{"pin": "relay", "value": 1, "note": "' + b"x" * 65_000 + b'"}', 400, "too long"),
}
CALLS_AT_ONCE = 45  # the hub lets 50 wait


@pytest.mark.slow
async def test_bad_calls_and_desired_properties_are_refused_too(lab):
    before, heap = edges(lab), lab.board.heap_peak_bytes
    for what, (name, payload, status, named) in REFUSED_CALLS.items():
        found, answer = await lab.hub.invoke_method(lab.device_id, name, payload, ANSWER_S_MAX)
        assert (found, named in json.loads(answer)["result"]["reason"]) == (status, True), (what, answer)
    desired = {
        "pins": {"toaster": 1, "button": 1, "relay": "on", "led": {"duty_permille": 5}},
        "settings": {"sample_interval_ms": 5, "fly": True},
    }
    version = (await lab.hub.change_twin(lab.device_id, desired=desired)).desired.version

    def verdicts():
        reported = lab.hub.twins.get(lab.device_id).reported.values
        found = [*reported.get("pins", {}).values(), reported.get("settings", {})]
        return [one.get("status") for one in found if one.get("version") == version]

    async with asyncio.timeout(ANSWER_S_MAX):
        while len(verdicts()) < 5:
            await asyncio.sleep(0.05)
    assert verdicts() == ["refused"] * 5

    # More than the board takes at once: each call is answered, by what it asked or by 429, and a record tells of those.
    calls = [lab.hub.invoke_method(lab.device_id, "ping", b"", ANSWER_S_MAX) for _ in range(CALLS_AT_ONCE)]
    statuses = {found for found, _ in await asyncio.gather(*calls)}
    assert 200 in statuses and statuses <= {200, 429}
    assert edges(lab) == before
    assert lab.board.heap_peak_bytes - heap <= HEAP_GROWTH_BYTES_MAX
    assert (await sent(lab, command("ping"), "after them"))["status"] == "done"
