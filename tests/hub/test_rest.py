"""The service API below the SDK: who may do what, and what is said to requests that no SDK sends."""

import asyncio
import json
import time
from urllib.parse import quote

import pytest

from host_tools.hub import Hub, sas
from host_tools.hub.service.rest import ServiceApi
from host_tools.hub.web.message import Request
from tests.hub.raw_device import RawDevice, publish


@pytest.fixture
async def ask(tmp_path):
    """Return a coroutine function that asks a running hub as a policy: (status, headers, JSON or None)."""
    hub = Hub(tmp_path / "hub")
    await hub.start()

    def request_of(method, path, body=None, policy="iothubowner", token=None, query=None, **headers):
        expiry = str(int(time.time()) + 60)
        signature = quote(sas.sign(hub.policies.primary_key(policy), "localhost", expiry), safe="")
        good = f"SharedAccessSignature sr=localhost&sig={signature}&se={expiry}&skn={policy}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path = tuple(path.strip("/").split("/"))
        return Request(method, path, query or {}, {"authorization": good if token is None else token, **named}, data)

    async def ask(*call, **keys):
        response = await ServiceApi(hub).answer(request_of(*call, **keys))
        return response.status, response.headers, json.loads(response.body) if response.body else None

    def is_known(policy="iothubowner", token=None):
        return ServiceApi(hub).is_known(request_of("GET", "/devices", policy=policy, token=token))

    ask.hub, ask.request_of, ask.is_known = hub, request_of, is_known
    yield ask
    await hub.stop()


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("iothubowner", {"list", "create", "twin"}),
        ("service", {"twin"}),
        ("device", set()),
        ("registryRead", {"list"}),
        ("registryReadWrite", {"list", "create"}),
    ],
)
async def test_a_policy_gives_what_it_says_and_no_more(ask, policy, allowed):
    ask.hub.devices.create("d1")
    calls = {"list": ("GET", "/devices"), "create": ("PUT", "/devices/d2", {}), "twin": ("GET", "/twins/d1")}
    assert ask.is_known(policy)
    statuses = {name: (await ask(*call, policy=policy))[0] for name, call in calls.items()}
    assert statuses == {name: 200 if name in allowed else 401 for name in calls}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer x",
        "SharedAccessSignature ",
        "SharedAccessSignature sr=localhost&sig=AAAA&se=99999999999&skn=iothubowner",
        "SharedAccessSignature sr=elsewhere&sig=AAAA&se=99999999999&skn=iothubowner",
        "SharedAccessSignature sr=localhost&sig=AAAA&se=99999999999&skn=nobody",
        "SharedAccessSignature sr=localhost&sig=%ff%fe&se=99999999999&skn=iothubowner",
    ],
)
async def test_no_token_no_answer(ask, token):
    assert (await ask("GET", "/devices", token=token))[0] == 401
    assert not ask.is_known(token=token)


async def test_a_device_shows_when_it_was_heard_of(ask):
    ask.hub.devices.create("d1")
    _, _, found = await ask("GET", "/devices/d1")
    never = "0001-01-01T00:00:00Z"
    assert (found["lastActivityTime"], found["connectionStateUpdatedTime"]) == (never, never)
    device = await RawDevice.connected(ask.hub, "d1")
    _, _, found = await ask("GET", "/devices/d1")
    connected = found["connectionStateUpdatedTime"]
    assert found["connectionState"] == "Connected" and never < connected <= found["lastActivityTime"]
    assert (await ask("GET", "/statistics/service"))[2] == {"connectedDeviceCount": 1}
    device.send(publish("devices/d1/messages/events/", b"x", 1))
    await device.receive()
    _, _, twin = await ask("GET", "/twins/d1")
    assert twin["lastActivityTime"] >= found["lastActivityTime"]
    device.close()
    while ask.hub.is_connected("d1"):
        await asyncio.sleep(0.01)
    _, _, found = await ask("GET", "/devices/d1")
    assert found["connectionState"] == "Disconnected" and found["connectionStateUpdatedTime"] >= connected


async def test_identities_in_bulk_are_taken_one_by_one(ask):
    entries = [{"id": "a"}, {"id": "b", "status": "disabled"}, {"id": "no blank"}, "nonsense"]
    status, _, result = await ask("POST", "/devices", entries)
    assert status == 400 and not result["isSuccessful"] and len(result["errors"]) == 2
    assert [device.id for device in ask.hub.devices.list()] == ["a", "b"]
    entries = [{"id": "a", "importMode": "delete"}, {"id": "b", "importMode": "update", "status": "enabled"}]
    assert (await ask("POST", "/devices", entries))[0] == 200
    assert [(device.id, device.status) for device in ask.hub.devices.list()] == [("b", "enabled")]
    assert (await ask("POST", "/devices", [{"id": "b", "importMode": "create"}]))[2]["errors"]
    assert (await ask("POST", "/devices", [{"id": str(n)} for n in range(101)]))[0] == 400


async def test_a_long_body_is_taken_from_who_shows_a_token(ask):
    body = json.dumps([{"id": "a", "statusReason": "x" * 100}] * 1000).encode()
    given = ask.request_of("POST", "/devices").headers["authorization"]
    head = f"POST /devices HTTP/1.1\r\nAuthorization: {given}\r\nContent-Length: {len(body)}\r\n\r\n"
    raw = await RawDevice.dial(ask.hub)
    raw.send(head.encode() + body)
    answer = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), 120)
    assert len(body) > 64 * 1024 and answer.startswith(b"HTTP/1.1 400 ")  # a hundred at once: it was read


async def test_pages_of_a_query(ask):
    for number in range(5):
        ask.hub.devices.create(f"d{number}")
    found, following = [], {}
    while True:
        question = {"query": " select  * FROM devices "}
        status, headers, page = await ask("POST", "/devices/query", question, x_ms_max_item_count="2", **following)
        assert status == 200 and headers["x-ms-item-type"] == "Twin" and 1 <= len(page) <= 2
        found += [twin["deviceId"] for twin in page]
        if "x-ms-continuation" not in headers:
            break
        following = {"x_ms_continuation": headers["x-ms-continuation"]}
    assert found == [f"d{number}" for number in range(5)]
    status, _, refusal = await ask("POST", "/devices/query", {"query": "SELECT * FROM devices WHERE tags.a = 1"})
    assert status == 400 and "ArgumentInvalid" in refusal["Message"]


async def test_feedback_by_lock_token(ask):
    hub = ask.hub
    hub.devices.create("d1")
    await hub.send("d1", b"x", {"iothub-ack": "full"}, "m-1")
    assert (await ask("GET", "/messages/serviceBound/feedback"))[0] == 204
    assert (await ask("DELETE", "/devices/d1/commands"))[2]["totalMessagesPurged"] == 1
    while not len(hub.feedback):
        await hub.change_twin("d1", {})  # durable behind the record
    status, headers, records = await ask("GET", "/messages/serviceBound/feedback")
    assert status == 200 and records[0]["originalMessageId"] == "m-1" and records[0]["statusCode"] == "Purged"
    assert (await ask("POST", f"/messages/serviceBound/feedback/{headers['ETag']}/abandon"))[0] == 204
    assert (await ask("DELETE", "/messages/serviceBound/feedback/²"))[0] == 412
    assert (await ask("DELETE", f"/messages/serviceBound/feedback/{headers['ETag']}"))[0] == 204
    assert (await ask("GET", "/messages/serviceBound/feedback"))[0] == 204


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (("GET", "/devices/nobody"), 404),
        (("GET", "/twins/nobody"), 404),
        (("PATCH", "/twins/d1", b"no json"), 400),
        (("PATCH", "/twins/d1", [1]), 400),
        (("PATCH", "/twins/d1", {"properties": {"desired": 3}}), 400),
        (("PATCH", "/twins/d1", b"[" * 100_000), 400),
        (("PUT", "/devices/d3", {"authentication": {"symmetricKey": {"primaryKey": "short"}}}), 400),
        (("PUT", "/devices/d3", {"authentication": 7}), 400),
        (("PUT", "/devices/d3", {"status": "asleep"}), 400),
        (("POST", "/twins/d1/methods", {"methodName": 3}), 400),
        (("POST", "/twins/d1/methods", {"methodName": "m", "responseTimeoutInSeconds": "long"}), 400),
        (("POST", "/twins/d1/methods", {"methodName": "m"}), 404),
        (("GET", "/jobs/v2/x"), 501),
        (("GET", "/nonsense"), 404),
    ],
)
async def test_what_is_refused_says_why(ask, call, status):
    ask.hub.devices.create("d1")
    found, _, refusal = await ask(*call)
    assert found == status and refusal["Message"]


@pytest.mark.parametrize("top", ["²", "-1", "1e3", "9" * 30])
async def test_top_is_a_number(ask, top):
    assert (await ask("GET", "/devices", query={"top": top}))[0] == 400
