"""Who counts what arrived: a subscriber at the broker, which knows nothing of the boards."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

_CONNECT_S: Final = 10.0


@dataclass(frozen=True, order=True)
class Name:
    """What a reading is called: the start of the board, counted by it, and a number; `up_ms`: the board's time then."""

    start: int
    number: int
    up_ms: int


class Judge:
    """Subscribes to everything, with a session that outlives the broker's restarts, and keeps the names of readings."""

    def __init__(self, port: int) -> None:
        self._heard: dict[str, Counter[Name]] = {}
        self._lock = threading.Lock()
        self._is_subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "judge", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)

    def start(self) -> None:
        """Return once it hears everything."""
        self._client.loop_start()
        if not self._is_subscribed.wait(_CONNECT_S):
            raise TimeoutError("the judge could not subscribe at the broker")

    def stop(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, device: str) -> Counter[Name]:
        """Return how many times each reading of a device has come."""
        with self._lock:
            return Counter(self._heard.get(device, {}))

    def _on_message(self, client: object, data: object, message: paho.MQTTMessage) -> None:
        parts = message.topic.split("/")  # bench/DEVICE, or fieldpost/DEVICE/telemetry/ID
        with self._lock:
            self._heard.setdefault(parts[1], Counter()).update(_names(message.payload))


def _names(body: bytes | bytearray) -> list[Name]:
    try:
        found: dict[str, Any] = json.loads(body)
    except ValueError:
        return []  # "online"
    if "raw" in found:
        return [Name(found["start"], found["n"], found["up"])]
    records = found.get("records", ()) if isinstance(found, dict) else ()
    return [Name(record["boot"], record["n"], record["up"]) for record in records if "temperature" in record]
