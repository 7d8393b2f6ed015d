"""What another terminal may ask of a running lab: a table of verbs, each a function of lab and arguments."""

import asyncio
import contextlib
import dataclasses
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from host_tools.audit import as_json, proof
from host_tools.errors import UserError
from host_tools.hub.devices.merge_patch import DocumentRefused
from host_tools.hub.devices.methods import TIMEOUT_S_MAX, DeviceNotOnline, MethodFailed
from host_tools.hub.throttle import Throttled
from host_tools.lab.desired import Outcome, outcomes
from host_tools.lab.lab import Lab
from host_tools.lab.quantities import DURATION_S_MAX
from host_tools.lab.snapshot import snapshot, state

Answer = dict[str, Any]

# BST-BME280-DS002 table 1: what the sensor is specified for.
ROOM = {"temperature": (-40.0, 85.0, "C"), "pressure": (300.0, 1100.0, "hPa"), "humidity": (0.0, 100.0, "%")}
_ROOM_ATTRIBUTES = {
    "temperature": "temperature_c",
    "pressure": "pressure_hpa",
    "humidity": "humidity_percent",
}
ANSWER_S_MAX = 600.0
_TWIN_POLL_S = 0.05
POWER_CYCLE_OFF_S = 2.0


class Verbs:
    """Carries out verbs on a lab; give `handle` to the control server."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._outage: asyncio.Task[None] | None = None
        self._table: dict[str, Callable[[Answer], Awaitable[Answer]]] = {
            "send": self._send,
            "method": self._method,
            "twin": self._twin,
            "set_twin": self._set_twin,
            "outage": self._cut_link,
            "power": self._power,
            "sensor": self._sensor,
            "audit": self._audit,
            "status": self._status,
        }

    async def handle(self, verb: str, arguments: Answer) -> Answer:
        """Do it and return the result. Raises UserError for what is unknown, wrong or impossible now."""
        if verb not in self._table:
            raise UserError(f"the lab knows no '{verb}', only {', '.join(self._table)}")
        return await self._table[verb](arguments)

    async def close(self) -> None:
        """Give up an outage under way."""
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.gather(self._outage, return_exceptions=True)

    async def _send(self, arguments: Answer) -> Answer:
        """command, arguments, timeout_s -> the answer record, or why there is none."""
        lab = self._lab
        timeout_s = min(float(arguments["timeout_s"]), ANSWER_S_MAX)
        message_id = uuid.uuid4().hex
        await lab.send(arguments["command"], arguments["arguments"], message_id)
        record = await lab.watch.result(message_id, timeout_s)
        if record is None:
            return {"id": message_id, "status": "none", "reason": _why_no_answer(lab)}
        return {"id": message_id, "status": record["status"], "result": record.get("result", {})}

    async def _method(self, arguments: Answer) -> Answer:
        """name, payload, timeout_s -> the device's status and payload, or why there is none."""
        lab = self._lab
        payload = json.dumps(arguments["payload"], separators=(",", ":")).encode()
        timeout_s = min(float(arguments["timeout_s"]), TIMEOUT_S_MAX)
        try:
            status, body = await lab.hub.invoke_method(lab.device_id, arguments["name"], payload, timeout_s)
        except MethodFailed as failure:
            return {"status": None, "code": failure.code, "reason": _why_no_method(lab, failure)}
        try:
            answer = json.loads(body) if body else None
        except ValueError:
            answer = body.decode(errors="replace")
        return {"status": status, "answer": answer}

    async def _twin(self, _: Answer) -> Answer:
        twin = self._lab.hub.twins.get(self._lab.device_id)
        return twin.for_device()

    async def _set_twin(self, arguments: Answer) -> Answer:
        """patch, timeout_s -> what became of each property, or why that is not known."""
        lab, patch = self._lab, arguments["patch"]
        timeout_s = min(float(arguments["timeout_s"]), ANSWER_S_MAX)
        try:
            version = (await lab.hub.change_twin(lab.device_id, desired=patch)).desired.version
        except (DocumentRefused, Throttled) as error:
            raise UserError(f"the hub does not take these desired properties: {error}") from error
        found = await self._dealt_with(patch, version, timeout_s)
        if found is None:
            return {"version": version, "status": "none", "reason": _why_no_answer(lab, "the desired properties")}
        status = "applied" if all(one.is_applied for one in found) else "refused"
        return {"version": version, "status": status, "properties": [dataclasses.asdict(one) for one in found]}

    async def _dealt_with(self, patch: Answer, version: int, timeout_s: float) -> list[Outcome] | None:
        """Wait until the board has reported on every property of the patch; None if it does not in time."""
        lab = self._lab
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (found := outcomes(patch, version, lab.hub.twins.get(lab.device_id).reported.values)) is None:
                    await asyncio.sleep(_TWIN_POLL_S)
                return found
        return None

    async def _cut_link(self, arguments: Answer) -> Answer:
        seconds = float(arguments["seconds"])
        if not 0 < seconds <= DURATION_S_MAX:
            raise UserError(f"an outage of {seconds:g} s makes no sense: more than 0, at most 7 days")
        if self._outage is not None and not self._outage.done():
            raise UserError("the link is down already: wait until that outage is over")
        self._outage = asyncio.create_task(self._lab.board.link.outage(seconds))
        return {"seconds": seconds}

    async def _power(self, arguments: Answer) -> Answer:
        board, wanted = self._lab.board, arguments["state"]
        if wanted == "cycle":
            await board.power_cycle(off_s=POWER_CYCLE_OFF_S)
        elif wanted == "off" and board.powered:
            await board.power_off()
        elif wanted == "on" and not board.powered:
            await board.power_on()
        elif wanted not in ("on", "off"):
            raise UserError(f"power can be on, off or cycle, not '{wanted}'")
        return {"powered": board.powered, "boots": board.boots}

    async def _sensor(self, arguments: Answer) -> Answer:
        for quantity, value in arguments.items():
            _check_room(quantity, value)
        for quantity, value in arguments.items():
            setattr(self._lab.board.bme280, _ROOM_ATTRIBUTES[quantity], float(value))
        room: Answer = snapshot(self._lab)["room"]
        return room

    async def _audit(self, _: Answer) -> Answer:
        finding = await self._lab.audit()
        return {"whole": finding.is_whole, "proof": proof(finding), "finding": as_json(finding)}

    async def _status(self, _: Answer) -> Answer:
        view = snapshot(self._lab)
        return {"state": state(view), **view}


def _check_room(quantity: str, value: float) -> None:
    if quantity not in ROOM:
        raise UserError(f"the sensor has no '{quantity}', only {', '.join(ROOM)}")
    low, high, unit = ROOM[quantity]
    if not low <= value <= high:
        raise UserError(f"{quantity}={value:g} is beyond a BME280: {low:g} to {high:g} {unit}")


def _why_no_answer(lab: Lab, what: str = "the command") -> str:
    trouble = _trouble(lab)
    if trouble is None:
        return "the board is connected but did not answer in time"
    return f"{trouble}; the hub keeps {what} until it is back"


def _why_no_method(lab: Lab, failure: MethodFailed) -> str:
    trouble = _trouble(lab)
    if trouble is not None:
        return f"{trouble}; a method is not kept: call it again later, or use fieldpost send"
    if isinstance(failure, DeviceNotOnline):
        return "the board is connected but takes no methods"
    return f"{failure}; whether it acted is not known"


def _trouble(lab: Lab) -> str | None:
    if not lab.board.powered:
        return "the board is off"
    if not lab.board.link.is_up:
        return "the link is down"
    if not lab.hub.is_connected(lab.device_id):
        return "the board is not connected"
    return None
