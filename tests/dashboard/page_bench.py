"""What the tests of the page share: a hub with its page, and somebody who asks over HTTP."""

import asyncio
import contextlib
import http.client
import json
import ssl
from types import SimpleNamespace

from host_tools.dashboard.pages import Pages
from host_tools.hub import Hub
from host_tools.hub.service.admin import AdminApi
from host_tools.hub.service.https import HttpsApi
from host_tools.hub.service.rest import ServiceApi
from tests.ports import free_port


@contextlib.asynccontextmanager
async def page(directory):
    """A hub as `fieldpost hub run` starts it, in this process. Gives hub, port (plain HTTP on loopback), token."""
    hub = Hub(directory)
    # One that is free after a restart, too.
    hub.settings.get_or_make("admin_port", lambda: str(free_port()))
    await hub.start()
    api = AdminApi(hub, Pages(hub))
    hub.web = HttpsApi(ServiceApi(hub), api)
    try:
        await api.start()
        found = json.loads((directory / "api.json").read_text())
        yield SimpleNamespace(hub=hub, port=int(found["url"].rpartition(":")[2]), token=found["token"])
    finally:
        await api.stop()
        await hub.stop()


async def ask(at, path, method="GET", body=None, token=True, tls_of=None, **headers):
    """Return (status, headers, content); JSON is taken apart. tls_of: the hub, to ask at its TLS port."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        headers["Authorization"] = f"Bearer {at.token}"

    def asked():
        if tls_of is None:
            connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=120)
        else:
            context = ssl.create_default_context(cafile=tls_of.ca_file)
            connection = http.client.HTTPSConnection("localhost", tls_of.port, timeout=120, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            if content and "json" in (response.headers["Content-Type"] or ""):
                content = json.loads(content)
            return response.status, response.headers, content

    return await asyncio.to_thread(asked)


async def store(hub, device_id, body, properties=None, system=None):
    """A device's message is in the store."""
    durable = asyncio.get_running_loop().create_future()
    hub.store_event(device_id, system or {}, properties or {}, body, durable=lambda: durable.set_result(None))
    await durable


def agents(*numbers, ring="1a2b3c4d", **more):
    """The body of an agent's message."""
    records = [{"n": number, "t": 1_795_447_452_000 + number, "boot": 1, "up": number, **more} for number in numbers]
    return json.dumps({"q": ring, "records": records}).encode()


async def viewed(at, path, condition, seconds=120):
    """Return the answer to a view once it is as it should be: the store is read beside, and in turns."""
    async with asyncio.timeout(seconds):
        while True:
            status, _, answer = await ask(at, f"/admin/view/{path}")
            assert status == 200, answer
            if condition(answer):
                return answer
            await asyncio.sleep(0.05)
