"""Every command is answered, and its effect on the pins happens once: counted at the pins and at the hub.

A pin has one open command at the most, so that each edge belongs to one. Pulses must never be repeated; levels
may be set again.
"""

from dataclasses import dataclass, field

from host_tools.simulate.judges import PromiseBroken

PULSE_EXTRA_MS_MAX = 2_000


@dataclass(slots=True)
class Order:
    """One command. kind: "pulse", "set" or "other"; effects: edges away from the safe level while it was open."""

    id: str
    kind: str
    pin: str
    value: int
    sent_ms: int
    effects: int = 0
    levels: set[int] = field(default_factory=set)
    statuses: list[str] = field(default_factory=list)
    is_settled: bool = False
    is_acknowledged: bool = False
    answer_was_lost: bool = False

    @property
    def awaits_answer(self) -> bool:
        """Whether the device has acknowledged it and its answer has not come."""
        return self.is_acknowledged and not self.statuses and not self.answer_was_lost


class Orders:
    """All commands that are not settled and judged yet."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._by_pin: dict[str, Order] = {}
        self._levels: dict[str, int] = {}
        self._pulse_since_ms: dict[str, int] = {}
        self.judged = 0

    @property
    def open_count(self) -> int:
        """Commands that the hub still holds."""
        return sum(not order.is_settled for order in self._orders.values())

    @property
    def is_at_rest(self) -> bool:
        """Whether every command is settled and every acknowledged one answered."""
        return all(order.is_settled and not order.awaits_answer for order in self._orders.values())

    def is_free(self, pin: str) -> bool:
        """Whether no open command has to do with a pin."""
        order = self._by_pin.get(pin)
        return order is None or (order.is_settled and bool(order.statuses))

    def sent(self, order: Order) -> None:
        """A command was given to the hub."""
        self._orders[order.id] = order
        if order.pin:
            self._by_pin[order.pin] = order
            order.levels.add(self._levels.get(order.pin, 0))

    def edge(self, pin: str, level: int, now_ms: int) -> None:
        """A pin has changed its level."""
        self._levels[pin] = level
        order = self._by_pin.get(pin)
        if order is not None:
            order.levels.add(level)
        if level == 0:
            since_ms = self._pulse_since_ms.pop(pin, now_ms)
            if order is not None and order.kind == "pulse" and now_ms - since_ms > order.value + PULSE_EXTRA_MS_MAX:
                raise PromiseBroken(f"{order.id}: a pulse of {order.value} ms took {now_ms - since_ms} ms")
            return
        self._pulse_since_ms[pin] = now_ms
        if order is None or order.is_settled:
            raise PromiseBroken(f"pin {pin} was driven although no command for it is open")
        order.effects += 1
        if order.kind == "pulse" and order.effects > 1:
            raise PromiseBroken(f"{order.id}: the pulse on {pin} happened {order.effects} times")

    def answered(self, command_id: str, status: str) -> None:
        """An answer has arrived at the hub for the first time under its number."""
        order = self._orders.get(command_id)
        if order is None:
            return  # judged already; a repeat of its answer
        order.statuses.append(status)
        if order.kind == "pulse":
            if len(set(order.statuses)) > 1:
                raise PromiseBroken(f"{order.id}: answered {' and '.join(order.statuses)}")
            if status == "done" and order.effects != 1:
                raise PromiseBroken(f"{order.id}: answered done, pulses seen: {order.effects}")
            if status == "refused" and order.effects:
                raise PromiseBroken(f"{order.id}: answered refused, but the pin moved")
        if order.kind == "set" and status == "done" and order.value not in order.levels:
            raise PromiseBroken(f"{order.id}: answered done, but {order.pin} never was {order.value}")

    def answer_lost(self, command_id: str) -> None:
        """The record with an answer was reported lost: this one cannot be asked for."""
        order = self._orders.get(command_id)
        if order is not None:
            order.answer_was_lost = True

    def settled(self, command_id: str, is_acknowledged: bool) -> None:
        """The hub does not hold the command any more: the device acknowledged it, or it expired."""
        order = self._orders[command_id]
        order.is_settled = True
        order.is_acknowledged = is_acknowledged

    def judge_rest(self) -> None:
        """Nothing is under way any more: every command must have come to an end."""
        for order in list(self._orders.values()):
            if not order.is_settled:
                raise PromiseBroken(f"{order.id}: still not acknowledged")
            if order.awaits_answer:
                raise PromiseBroken(f"{order.id}: acknowledged and never answered")
            del self._orders[order.id]
            self.judged += 1
