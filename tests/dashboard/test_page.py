"""The hub's page over HTTP: what it shows, and what it shows to nobody else.

Goal: whoever has the token sees devices as they are; a page of another site, a name turned to this machine, or a
device with HTML for a name gets nothing. Method: a hub with its page in this process, asked by http.client.
"""

import json
import re
from pathlib import Path

import cbor2
import pytest

from host_tools.dashboard import pages
from tests.dashboard.page_bench import agents, ask, page, store, viewed

STATIC = Path(pages.__file__).parent / "static"
OURS = {"fp": "1"}
HOSTILE = "<img src=x onerror=alert(1)>\"'`</script><script>alert(2)</script>"


async def test_its_files_are_for_everybody_and_hold_the_browser_to_text(tmp_path):
    async with page(tmp_path) as at:
        for tls_of in (None, at.hub):
            for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
                status, headers, content = await ask(at, path, token=False, tls_of=tls_of)
                assert status == 200 and headers["Content-Type"].startswith(kind) and len(content) > 1000
                policy = headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
                assert "require-trusted-types-for 'script'" in policy and "frame-ancestors 'none'" in policy
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert at.token.encode() not in content
            assert (await ask(at, "/admin/view/devices", tls_of=tls_of))[0] == 200
            own = ("/hub", "/view/devices") if tls_of is None else ()
            for path in ("/admin/view/devices", "/admin/hub", "/admin/page.js/../hub", *own):
                assert (await ask(at, path, token=False, tls_of=tls_of))[0] == 401, path
        assert (await ask(at, "/devices", token=False, tls_of=at.hub))[2]["Message"], "IoT Hub's own paths stay"


def test_its_files_make_no_html_out_of_texts_and_ask_nobody_else():
    """The policy would stop most of it; what is not there needs no stopping."""
    forbidden = (
        "innerHTML|outerHTML|insertAdjacentHTML|document\\.write|eval\\(|new Function|setTimeout\\(['\"`]|"
        "srcdoc|javascript:|DOMParser|createContextualFragment|localStorage|document\\.cookie"
    )
    found = {path.name: path.read_text() for path in STATIC.iterdir()}
    assert set(found) == {name for name, _ in pages._FILES.values()}
    for name, text in found.items():
        assert not re.findall(forbidden, text), name
        assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}, name
    assert not re.search(r"<[^>]+\s(on\w+|style)\s*=", found["index.html"]), "no inline handler, no inline style"
    assert re.findall(r"<script[^>]*>", found["index.html"]) == [
        f'<script src="{name}" defer>' for name in ("charts.js", "page.js")
    ]


STRANGERS = {
    "a page of another origin": {"Origin": "https://evil.example"},
    "a page of another port": {"Origin": "http://127.0.0.1:1"},
    "a page without an origin": {"Origin": "null"},
    "what a browser says": {"Sec_Fetch_Site": "cross-site"},
    "a neighbour on this machine": {"Sec_Fetch_Site": "same-site"},
    "a name turned to this machine": {"Host": "evil.example"},
    "such a name with the port": {"Host": "evil.example:80", "Origin": "http://evil.example:80"},
    "no name": {"Host": ""},
}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_pages_of_other_sites_are_refused_even_with_the_token(tmp_path, stranger):
    async with page(tmp_path) as at:
        at.hub.devices.create("dev1")
        for tls_of in (None, at.hub):
            for method, path, body in (
                ("GET", "/admin/view/devices", None),
                ("GET", "/devices", None) if tls_of is None else ("GET", "/admin/devices", None),
                ("POST", "/admin/devices/dev1/commands", {"body": "x"}),
                ("PATCH", "/admin/devices/dev1/twin", {"properties": {"desired": {"a": 1}}}),
                ("DELETE", "/admin/devices/dev1", None),
            ):
                status, headers, answer = await ask(at, path, method, body, tls_of=tls_of, **STRANGERS[stranger])
                assert status == 403, (path, answer)
                assert "Access-Control-Allow-Origin" not in headers
            preflight = {"Access_Control_Request_Method": "POST", **STRANGERS[stranger]}
            status, headers, _ = await ask(at, "/admin/devices", "OPTIONS", token=False, tls_of=tls_of, **preflight)
            assert status == 403 and "Access-Control-Allow-Origin" not in headers
        assert at.hub.pending("dev1") == 0 and at.hub.twins.get("dev1").desired.values == {}


async def test_a_name_turned_to_this_machine_does_not_even_get_the_files(tmp_path):
    async with page(tmp_path) as at:
        assert (await ask(at, "/", token=False, Host="evil.example"))[0] == 403
        for host in ("localhost:1234", "127.0.0.1", "[::1]:1", "192.0.2.7:8443"):  # a tunnel, and addresses
            assert (await ask(at, "/", token=False, Host=host, Sec_Fetch_Site="cross-site"))[0] == 200, host
            own = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
            assert (await ask(at, "/admin/view/devices", **own))[0] == 200, host


async def test_devices_and_what_is_known_of_them(tmp_path):
    async with page(tmp_path) as at:
        for name in ("kitchen", "Cellar", "silent"):
            at.hub.devices.create(name)
        await store(at.hub, "kitchen", agents(1, 2, 3, temperature=21.5), OURS)
        await store(at.hub, "kitchen", agents(6, temperature=22), OURS)
        await store(at.hub, "Cellar", b'{"level": 7, "battery": {"voltage": 3.7}}')
        await at.hub.send("kitchen", b"open", {}, "m1")
        found = await viewed(at, "devices", lambda answer: answer["hub"]["read_to"] == 3)
        assert found["hub"] | {"now_ms": 0} == {
            "hostname": "localhost", "now_ms": 0, "devices": 3, "connected": 0, "messages": 3, "read_to": 3,
        }  # fmt: skip
        cellar, kitchen, silent = found["devices"]
        assert (kitchen["id"], kitchen["messages"], kitchen["waiting"], kitchen["dead_letters"]) == ("kitchen", 2, 1, 0)
        assert kitchen["audit"]["delivered_unique"] == 4 and kitchen["audit"]["missing"] == 2
        assert (cellar["messages"], cellar["audit"], silent["audit"], silent["heard_ms"]) == (1, None, None, None)
        assert kitchen["heard_ms"] and not kitchen["is_connected"] and kitchen["is_enabled"]
        await store(at.hub, "kitchen", agents(4, 5), OURS)
        found = await viewed(at, "devices?find=KITCH", lambda answer: answer["hub"]["read_to"] == 4)
        assert [one["id"] for one in found["devices"]] == ["kitchen"] and found["matching"] == 1
        assert found["devices"][0]["audit"]["missing"] == 0
        assert at.hub.command_queue("kitchen").purge() == 1
        found = await viewed(at, "devices/kitchen", lambda answer: True)
        assert found["device"]["dead_letters"] == 1 and found["device"]["waiting"] == 0
        assert found["ended"] == [{"message_id": "m1", "outcome": "Purged"}]


async def test_many_devices_come_by_pages(tmp_path):
    async with page(tmp_path) as at:
        for number in range(230):
            at.hub.devices.create(f"dev{number:03}")
        seen = []
        for start in (0, 100, 200):
            _, _, answer = await ask(at, f"/admin/view/devices?from={start}")
            seen += [one["id"] for one in answer["devices"]]
            assert answer["matching"] == 230 and answer["from"] == start
        assert seen == [f"dev{number:03}" for number in range(230)]


async def test_a_device_with_readings_in_every_form(tmp_path):
    senml = (
        b'[{"bn":"1a2b3c4d/","bt":1795447452.5,"n":"n","v":3},{"n":"up","u":"s","v":1},'
        b'{"n":"humidity","u":"/","v":0.5}]'
    )
    cbor = cbor2.dumps({"level": 5, "deep": {"inner": 2.5, "text": "x"}})
    async with page(tmp_path) as at:
        at.hub.devices.create("dev1")
        await store(at.hub, "dev1", agents(1, 2, temperature=21.5, event_free=True, note="text"), OURS)
        await store(at.hub, "dev1", senml, OURS, {"content-type": "application/senml+json"})
        await store(at.hub, "dev1", cbor, {}, {"content-type": "application/cbor"})
        await store(at.hub, "dev1", b"\xff\xfe no text")
        found = await viewed(at, "devices/dev1", lambda answer: answer["newest"] == 4)
        series = found["recent"]["series"]
        assert [value for _, value in series["temperature"]] == [21.5, 21.5]
        assert series["temperature"][0][0] == 1_795_447_452_001, "the record's own time"
        assert series["humidity"] == [[1_795_447_452_500, 50]]
        assert series["level"][0][1] == 5 and series["deep.inner"][0][1] == 2.5
        assert set(series) == {"temperature", "humidity", "level", "deep.inner"}, "no bookkeeping, no truth values"
        newest, cbor_message, _, oldest = found["recent"]["messages"]
        assert newest["body_base64"] and json.loads(cbor_message["body_json"])["level"] == 5
        assert oldest["properties"] == OURS
        version = found["twin_version"]
        again = await viewed(at, f"devices/dev1?after=4&twin={version}", lambda answer: True)
        assert "recent" not in again and "twin" not in again, "what the page has is not sent again"
        await store(at.hub, "dev1", b'{"level": 6}')
        more = await viewed(at, "devices/dev1?after=4", lambda answer: answer["newest"] == 5)
        assert [value for _, value in more["recent"]["series"]["level"]] == [5, 6]


async def test_the_twin_with_its_versions(tmp_path):
    async with page(tmp_path) as at:
        at.hub.devices.create("dev1")
        patch = {"properties": {"desired": {"interval": 5, "name": HOSTILE}}}
        assert (await ask(at, "/admin/devices/dev1/twin", "PATCH", patch))[0] == 200
        found = (await ask(at, "/admin/view/devices/dev1"))[2]["twin"]
        assert found["desired"] == {"version": 2, "values": {"interval": 5, "name": HOSTILE}}
        assert found["reported"] == {"version": 1, "values": {}}


async def test_what_a_device_says_is_data_and_nothing_else(tmp_path):
    """Whatever it is called and whatever it sends is in JSON, which a browser shows as no page."""
    device_id = "it's(fine);%_=$@,*!"
    async with page(tmp_path) as at:
        at.hub.devices.create(device_id)
        body = json.dumps({HOSTILE: 1, "__proto__": {"polluted": 1}, "constructor": 2}).encode()
        await store(at.hub, device_id, body, {HOSTILE: HOSTILE}, {"message-id": HOSTILE, "content-type": HOSTILE})
        quoted = "".join(f"%{byte:02x}" for byte in device_id.encode())
        found = await viewed(at, f"devices/{quoted}", lambda answer: answer["newest"] == 1)
        _, headers, _ = await ask(at, f"/admin/view/devices/{quoted}")
        assert headers["Content-Type"].startswith("application/json")
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        assert found["recent"]["messages"][0]["properties"] == {HOSTILE: HOSTILE}
        assert (await ask(at, f"/admin/view/devices/{HOSTILE.replace(' ', '%20')}".replace("/script", "")))[0] == 404


async def test_a_question_that_is_none_is_refused(tmp_path):
    async with page(tmp_path) as at:
        at.hub.devices.create("dev1")
        for path in ("devices?from=-1", "devices?from=x", "devices/dev1?after=1e9", f"devices/dev1?twin={'9' * 40}"):
            assert (await ask(at, f"/admin/view/{path}"))[0] == 400, path
        for path in ("", "devices/none", "devices/dev1/more", "nothing"):
            assert (await ask(at, f"/admin/view/{path}"))[0] == 404, path
        assert (await ask(at, "/admin/view/devices", "POST", {}))[0] == 404


async def test_a_page_that_is_open_goes_on_after_the_hub_has_started_again(tmp_path):
    async with page(tmp_path) as at:
        first = (at.port, at.token)
    async with page(tmp_path) as at:
        assert (at.port, at.token) == first
        assert (await ask(at, "/admin/view/devices"))[0] == 200


async def test_the_command_line_tells_the_address_and_its_token_is_in_no_request(tmp_path):
    import asyncio

    from host_tools.hub.client import HubClient

    async with page(tmp_path) as at:
        address = await asyncio.to_thread(HubClient(tmp_path).page_address)
        assert address == f"http://127.0.0.1:{at.port}/#token={at.token}"
