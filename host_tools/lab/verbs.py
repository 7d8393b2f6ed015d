"""What another terminal may ask of a running lab: a table of verbs, each a function of lab and arguments."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from host_tools.audit import as_json, proof
from host_tools.errors import UserError
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
POWER_CYCLE_OFF_S = 2.0


class Verbs:
    """Carries out verbs on a lab; give `handle` to the control server."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._outage: asyncio.Task[None] | None = None
        self._table: dict[str, Callable[[Answer], Awaitable[Answer]]] = {
            "send": self._send,
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


def _why_no_answer(lab: Lab) -> str:
    if not lab.board.powered:
        return "the board is off; the hub keeps the command until it is back"
    if not lab.board.link.is_up:
        return "the link is down; the hub keeps the command until it is back"
    if not lab.hub.is_connected(lab.device_id):
        return "the board is not connected; the hub keeps the command until it is"
    return "the board is connected but did not answer in time"
