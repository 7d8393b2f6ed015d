"""What has arrived at the hub of one device since the lab began: for the screen, for answers, for counts.

A convenience beside the audit, which reads the store itself and trusts nobody.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from typing import Any

from host_tools.audit import bodies
from host_tools.audit.claims import is_ours
from host_tools.audit.judge import Message
from host_tools.audit.ranges import RangeSet

TEMPERATURES_MAX = 60
EVENTS_MAX = 6
RESULTS_MAX = 1000  # answers kept for who asks late; a scenario sends no more commands


class HubWatch:
    """Give `note` to `hub.on_message`; it runs in the loop and raises nothing."""

    def __init__(self, device_id: str) -> None:
        self.device_id = device_id
        self.messages = 0
        self.records = 0
        self.lost = 0
        self.reading: dict[str, Any] | None = None
        self.temperatures: deque[float] = deque(maxlen=TEMPERATURES_MAX)
        self.events: deque[str] = deque(maxlen=EVENTS_MAX)
        self.results: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._delivered: dict[str, RangeSet] = {}
        self._event_numbers: dict[str, RangeSet] = {}
        self._lost: dict[str, RangeSet] = {}
        self._changed = asyncio.Event()

    def note(self, message: Message) -> None:
        """Take in one stored message; what is not of this device, or not readable, is left to the audit."""
        if message.device_id != self.device_id or not is_ours(message.properties):
            return
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self._take(bodies.content(message.body))
        self.messages += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def first_reading(self, timeout_s: float) -> bool:
        """Wait until a reading has arrived since the lab began; return whether one did."""
        return await self._until(lambda: self.reading is not None, timeout_s)

    async def result(self, command_id: str, timeout_s: float) -> dict[str, Any] | None:
        """Wait for the answer to a command; return the record, or None if it did not come in time."""
        await self._until(lambda: command_id in self.results, timeout_s)
        return self.results.get(command_id)

    def events_from(self, ring: str, number: int) -> int:
        """Return how many records of `ring` from `number` on are events, not readings."""
        numbers = self._event_numbers.get(ring, RangeSet())
        return sum(last - max(first, number) + 1 for first, last in numbers if last >= number)

    async def _until(self, condition: Any, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._changed.wait()
        return bool(condition())

    def _take(self, body: dict[str, Any]) -> None:
        ring = body["q"]
        lost = self._lost.setdefault(ring, RangeSet())
        for first, last in body.get("lost", []):
            self.lost += lost.add(first, last)
        delivered = self._delivered.setdefault(ring, RangeSet())
        for record in body["records"]:
            if delivered.add(record["n"], record["n"]):
                self._take_new(ring, record)

    def _take_new(self, ring: str, record: dict[str, Any]) -> None:
        self.records += 1
        event = record.get("event")
        if event is None:
            self.reading = record
            self.temperatures.append(record["temperature"])
            return
        self._event_numbers.setdefault(ring, RangeSet()).add(record["n"], record["n"])
        self.events.append(_described(record))
        if event == "result" and record["id"] not in self.results:
            self.results[record["id"]] = record
            if len(self.results) > RESULTS_MAX:
                self.results.popitem(last=False)


def _described(record: dict[str, Any]) -> str:
    event = record["event"]
    if event == "boot":
        return f"boot {record['boot']} ({record['cause']})"
    if event == "anchor":
        return f"boot {record['boot']} learned the time of day"
    if event == "result":
        return f"{record.get('command', 'a command')}: {record['status']}"
    if event == "alarm":
        return f"{record['alarm']} {record['state']}" + (f": {record['reason']}" if "reason" in record else "")
    return str(event)
