"""Direct methods: a call goes to a connected device at once, and its answer or its absence comes back.

Microsoft, "Understand and invoke direct methods from IoT Hub": nothing is queued, nothing is stored.

    invoke -- connected and subscribed? -- no, wait connect_timeout_s --> DeviceNotOnline
           -- request to the device -- no answer in response_timeout_s, or it went away --> MethodTimeout
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

PAYLOAD_BYTES_MAX: Final = 128 * 1024
RESPONSE_TIMEOUT_S: Final = 30.0
TIMEOUT_S_MAX: Final = 300.0
# The real hub has such a limit and publishes no number (403800 DeviceMaximumInflightMethodExceeded).
IN_FLIGHT_MAX: Final = 50


class MethodFailed(Exception):
    """The call had no answer; `code` is IoT Hub's error code, `name` its name."""

    code = 0
    name = ""


class DeviceNotOnline(MethodFailed):
    """The device is not connected or takes no methods: it has not got the call."""

    code, name = 404103, "DeviceNotOnline"


class MethodTimeout(MethodFailed):
    """The device got the call and has not answered: whether it acted is not known."""

    code, name = 504101, "GatewayTimeout"


class TooManyCalls(MethodFailed):
    """Too many calls wait for this device already."""

    code, name = 403800, "DeviceMaximumInflightMethodExceeded"


# request(name, request_id, payload) to the session of a device that takes methods; None if it takes none.
Request = Callable[[str, str, bytes], None]


class MethodCalls:
    """The calls that wait for their answers. find: returns how to reach a device now, or None."""

    def __init__(self, find: Callable[[str], Request | None]) -> None:
        self._find = find
        self._request_ids = itertools.count(1)
        self._calls: dict[tuple[str, str], asyncio.Future[tuple[int, bytes]]] = {}
        self._arrivals: dict[str, set[asyncio.Event]] = {}

    async def invoke(
        self,
        device_id: str,
        name: str,
        payload: bytes,
        response_timeout_s: float = RESPONSE_TIMEOUT_S,
        connect_timeout_s: float = 0,
    ) -> tuple[int, bytes]:
        """Return (status, payload) of the device's answer; raises MethodFailed."""
        request = await self._reach(device_id, connect_timeout_s)
        if sum(1 for device, _ in self._calls if device == device_id) >= IN_FLIGHT_MAX:
            raise TooManyCalls(f"{IN_FLIGHT_MAX} calls wait for {device_id!r} already")
        request_id = f"{next(self._request_ids):x}"
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._calls[device_id, request_id] = answer
        try:
            request(name, request_id, payload)
            return await asyncio.wait_for(answer, response_timeout_s)
        except TimeoutError:
            raise MethodTimeout(f"{device_id!r} has not answered {name!r} in {response_timeout_s:g} s") from None
        finally:
            del self._calls[device_id, request_id]

    def answered(self, device_id: str, request_id: str, status: int, payload: bytes) -> bool:
        """The device's answer; False if nobody waits for it (any more)."""
        answer = self._calls.get((device_id, request_id))
        if answer is None or answer.done():
            return False
        answer.set_result((status, payload))
        return True

    def arrived(self, device_id: str) -> None:
        """The device takes methods from now on."""
        for event in self._arrivals.get(device_id, ()):
            event.set()

    def gone(self, device_id: str) -> None:
        """The device's connection has ended, and with it every call that it got."""
        for (device, _), answer in self._calls.items():
            if device == device_id and not answer.done():
                answer.set_exception(MethodTimeout(f"{device_id!r} went away before it answered"))

    async def _reach(self, device_id: str, connect_timeout_s: float) -> Request:
        request = self._find(device_id)
        if request is None and connect_timeout_s > 0:
            event = asyncio.Event()
            self._arrivals.setdefault(device_id, set()).add(event)
            try:
                await asyncio.wait_for(event.wait(), connect_timeout_s)
                request = self._find(device_id)
            except TimeoutError:
                pass
            finally:
                self._arrivals[device_id].discard(event)
                if not self._arrivals[device_id]:
                    del self._arrivals[device_id]
        if request is None:
            raise DeviceNotOnline(f"{device_id!r} is not connected, or has not subscribed to methods")
        return request
