"""A raw device's words for methods and twins, and what it hears at QoS 0."""

import json
import struct

from tests.hub.raw_device import RawDevice, connect, packet, text, token


def take_event(received):
    """Return (topic, body) of a received QoS 0 PUBLISH."""
    first, body = received
    assert first == 0x30, hex(first)
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end:]


def publish_0(topic, payload=b""):
    return packet(0x30, text(topic) + payload)


def subscribe_all(*filters, packet_id=1, qos=1):
    return packet(0x82, struct.pack(">H", packet_id) + b"".join(text(one) + bytes((qos,)) for one in filters))


async def resumed(hub, device_id, **keys):
    """Return a device that did not ask for a clean session, and whether the hub remembered one."""
    device = await RawDevice.dial(hub)
    key = hub.devices.create(device_id).primary_key
    data = bytearray(connect(device_id, token(key, f"localhost/devices/{device_id}"), **keys))
    at = data.index(b"MQTT\x04") + 5
    data[at] &= ~0x02
    device.send(bytes(data))
    first, body = await device.receive()
    assert (first, body[1]) == (0x20, 0)
    return device, bool(body[0])


async def twin_request(device, topic, body=b""):
    """Publish and return (status, topic, JSON or None) of the answer."""
    device.send(publish_0(topic, body))
    topic, body = take_event(await device.receive())
    return int(topic.split("/")[3]), topic, json.loads(body) if body else None
