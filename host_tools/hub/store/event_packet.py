"""Device-to-cloud messages in the form in which they are kept: the PUBLISH packets that they came in.

So taking a message costs next to nothing, and who reads it takes it apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from host_tools.hub import property_bag
from host_tools.hub.mqtt import codec

RETAIN_PROPERTY = "mqtt-retain"


def topic(device_id: str) -> str:
    """The device's topic for telemetry, as far as its properties."""
    return f"devices/{device_id}/messages/events/"


def encode(
    device_id: str,
    system: dict[str, str],
    properties: dict[str, str | None],
    body: bytes,
    duplicate: bool = False,
) -> bytes:
    """Return the packet of a message that did not come as one."""
    return codec.publish(topic(device_id) + property_bag.encode(system, properties), body, 0, duplicate, 0)


def decode(device_id: str, packets: bytes) -> Iterator[tuple[dict[str, str], dict[str, str | None], bytes, bool]]:
    """Yield (system properties, application properties, body, duplicate) of each packet."""
    decoder = codec.Decoder()
    decoder.feed(packets)
    skipped = len(topic(device_id))
    for packet in decoder.packets():
        assert isinstance(packet, codec.Publish)
        system, properties = property_bag.decode(packet.topic[skipped:])
        if packet.retain:
            properties[RETAIN_PROPERTY] = "true"
        yield system, properties, packet.payload, packet.duplicate
