"""Unmodified azure-iot-hub against the local hub: identities, twins, methods over HTTPS; commands over AMQP."""

import asyncio
import contextlib
import json
import ssl

import pytest

from tests.hub.raw_device import RawDevice, connect, puback, subscribe, take_publish, token
from tests.hub.raw_topics import publish_0, subscribe_all, take_event
from tests.sdk.conftest import AMQP_PORT


class Service:
    """The program service.py: evaluates expressions with the SDK."""

    def __init__(self, program) -> None:
        self._program = program

    async def does(self, expression):
        """Return the result; the SDK must not raise."""
        answer = await self._asked(expression)
        assert answer[0] == "ok", answer
        return answer[1]

    async def fails(self, expression):
        """Return what the SDK raises, as (type, text)."""
        answer = await self._asked(expression)
        assert answer[0] == "error", answer
        return answer[1:]

    async def _asked(self, expression):
        self._program.tell(expression)
        return json.loads(await self._program.line())


@pytest.fixture
def service(running_hub, program):
    """Return a context with (hub, service); the HTTPS API is on the port of MQTT, AMQP on its own."""

    @contextlib.asynccontextmanager
    async def start(**keys):
        async with running_hub(AMQP_PORT, **keys) as hub:
            string = hub.policies.connection_string(f"{hub.hostname}:{hub.port}")
            async with program("service", hub, SERVICE_CONNECTION_STRING=string) as running:
                assert json.loads(await running.line())
                yield hub, Service(running)

    return start


async def raw_device(hub, device_id, key):
    """A raw device at the address of this hub."""
    context = ssl.create_default_context(cadata=hub.ca_pem)
    device = RawDevice(
        *await asyncio.open_connection(hub.hostname, hub.port, ssl=context, server_hostname=hub.hostname)
    )
    device.send(connect(device_id, token(key, f"localhost/devices/{device_id}")))
    assert await device.receive() == (0x20, b"\x00\x00")
    return device


async def test_identities(service):
    async with service() as (hub, back_end):
        made = await back_end.does("manager.create_device_with_sas('d1', '', '', 'enabled')")
        assert made["device_id"] == "d1" and made["authentication"]["type"] == "sas"
        key = made["authentication"]["symmetric_key"]["primary_key"]
        assert key == hub.devices.get("d1").primary_key
        failed = await back_end.fails("manager.create_device_with_sas('d1', '', '', 'enabled')")
        assert "Conflict" in failed[1] or "409" in failed[1], failed
        chosen = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
        made = await back_end.does(f"manager.create_device_with_sas('d2', '{chosen}', '{chosen}', 'disabled')")
        assert made["status"] == "disabled" and hub.devices.get("d2").primary_key == chosen
        thumbprint = "ab" * 20
        await back_end.does(f"manager.create_device_with_x509('d3', '{thumbprint}', '{thumbprint}', 'enabled')")
        assert hub.devices.get("d3").primary_thumbprint == thumbprint.upper()
        await back_end.does("manager.create_device_with_certificate_authority('d4', 'enabled')")
        assert hub.devices.get("d4").authentication == "certificateAuthority"
        listed = await back_end.does("manager.get_devices(3)")
        assert [one["device_id"] for one in listed] == ["d1", "d2", "d3"]
        found = await back_end.does("manager.get_device('d1')")
        changed = f"manager.update_device_with_sas('d1', '{found['etag']}', '{chosen}', '{chosen}', 'disabled')"
        assert (await back_end.does(changed))["status"] == "disabled"
        assert "412" in str(await back_end.fails(changed)) or "Precondition" in str(await back_end.fails(changed))
        assert (await back_end.does("manager.get_device_registry_statistics()")) == {
            "total_device_count": 4,
            "enabled_device_count": 2,
            "disabled_device_count": 2,
        }
        await back_end.does("manager.delete_device('d1')")
        assert hub.devices.get("d1") is None
        assert "Not" in (await back_end.fails("manager.get_device('d1')"))[1]
        query = "manager.query_iot_hub(__import__('azure.iot.hub.models', fromlist=['m'])"
        found = await back_end.does(query + ".QuerySpecification(query='SELECT * FROM devices'), None, 2).items")
        assert [one["device_id"] for one in found] == ["d2", "d3"]


async def test_a_twin_and_a_method(service):
    async with service() as (hub, back_end):
        device = await raw_device(hub, "d1", hub.devices.create("d1").primary_key)
        device.send(
            subscribe_all("$iothub/methods/POST/#", "$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#")
        )
        await device.receive()
        patch = "Twin(tags={'room': 'k'}, properties=TwinProperties(desired={'interval': 5}))"
        changed = await back_end.does(f"manager.update_twin('d1', {patch})")
        assert changed["tags"] == {"room": "k"} and changed["properties"]["desired"]["interval"] == 5
        assert json.loads(take_event(await device.receive())[1]) == {"interval": 5, "$version": 2}
        device.send(publish_0("$iothub/twin/PATCH/properties/reported/?$rid=1", b'{"a": {"b": 1}}'))
        await device.receive()
        found = await back_end.does("manager.get_twin('d1')")
        assert found["properties"]["reported"]["a"]["b"] == 1 and found["connection_state"] == "Connected"
        assert "$lastUpdated" in found["properties"]["reported"]["$metadata"]["a"]["b"]
        stale = f"manager.update_twin('d1', {patch}, 'AAAAAAAAAAE=')"
        assert "Precondition" in (await back_end.fails(stale))[1]
        replaced = (
            f"manager.replace_twin('d1', Twin(properties=TwinProperties(desired={{'only': 1}})), '{found['etag']}')"
        )
        assert set((await back_end.does(replaced))["properties"]["desired"]) == {"only", "$metadata", "$version"}
        assert json.loads(take_event(await device.receive())[1]) == {"only": 1, "$version": 3}
        call = "manager.invoke_device_method('d1', CloudToDeviceMethod(method_name='blink', payload={'n': 2}))"
        asked = asyncio.create_task(back_end.does(call))
        topic, body = take_event(await device.receive())
        assert json.loads(body) == {"n": 2}
        device.send(publish_0(f"$iothub/methods/res/200/?$rid={topic.partition('=')[2]}", b'{"done": true}'))
        assert await asked == {"status": 200, "payload": {"done": True}}
        device.close()
        assert "404" in str(await back_end.fails(call)) or "Not Found" in str(await back_end.fails(call))


async def test_commands_over_amqp_and_their_feedback(service):
    async with service() as (hub, back_end):
        key = hub.devices.create("d1").primary_key
        properties = (
            "{'contentType': 'text/plain', 'correlationId': 'c-1', 'messageId': 'm-1', 'iothub-ack': 'full', 'a': 'b'}"
        )
        await back_end.does(f"manager.send_c2d_message('d1', 'hello', {properties})")
        for index in range(5):
            await back_end.does(f"manager.send_c2d_message('d1', 'number {index}')")
        await back_end.does("manager.send_c2d_message('d1', 'x' * 60000)")
        device = await raw_device(hub, "d1", key)
        device.send(subscribe("devices/d1/messages/devicebound/#"))
        await device.receive()
        bodies = []
        for _ in range(7):
            topic, body, packet_id, _ = take_publish(await device.receive())
            if not bodies:
                bag = set(topic.removeprefix("devices/d1/messages/devicebound/").split("&"))
                assert {"%24.mid=m-1", "%24.cid=c-1", "%24.ct=text%2Fplain", "a=b", "iothub-ack=full"} <= bag
            bodies.append(body)
            device.send(puback(packet_id))
        assert bodies == [b"hello", *(b"number %d" % index for index in range(5)), b"x" * 60_000]
        async with asyncio.timeout(120):
            while len(hub.feedback) != 1:
                await asyncio.sleep(0.01)
        (record,) = hub.feedback.batch().records
        assert (record["originalMessageId"], record["statusCode"]) == ("m-1", "Success")
        assert await back_end.does("feedback()") == [record]
        async with asyncio.timeout(120):
            while len(hub.feedback):
                await asyncio.sleep(0.01)
        device.close()


async def test_commands_that_cannot_be_sent_are_refused(service):
    async with service() as (hub, back_end):
        hub.devices.create("d1")
        refused = ["Exception", "C2D message send failure"]
        assert await back_end.fails("manager.send_c2d_message('nobody', 'x')") == refused
        assert await back_end.fails("manager.send_c2d_message('d1', 'x' * 66000)") == refused
        assert await back_end.fails("manager.send_c2d_message('d1', 'x', {'iothub-ack': 'maybe'})") == refused
        for _ in range(50):
            await hub.send("d1", b"", {})
        assert await back_end.fails("manager.send_c2d_message('d1', 'one more')") == refused
        assert hub.pending("d1") == 50


async def test_a_stranger_gets_nothing(running_hub, program):
    async with running_hub(AMQP_PORT) as hub:
        hub.devices.create("d1")
        key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
        string = f"HostName={hub.hostname}:{hub.port};SharedAccessKeyName=iothubowner;SharedAccessKey={key}"
        async with program("service", hub, SERVICE_CONNECTION_STRING=string) as running:
            await running.line()
            back_end = Service(running)
            assert "Unauthorized" in str(await back_end.fails("manager.get_devices()"))
            assert "Unauthorized" in str(await back_end.fails("manager.get_twin('d1')"))
            await back_end.fails("manager.send_c2d_message('d1', 'x')")
            assert hub.pending("d1") == 0
