"""GPIO pins as the world outside the board sees them: levels, and every change with its time and cause."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from host_tools.emulator.registers import GPIO_COUNT, Registers
from host_tools.errors import UserError

Cause = Literal["agent", "power"]


@dataclass(frozen=True)
class Edge:
    """A change of level. t_s: seconds of the monotonic clock. cause: the program, or power lost or a reset."""

    t_s: float
    level: int
    cause: Cause


@dataclass
class EmulatedPin:
    """One GPIO. level: what a meter would show; edges: every change so far, oldest first."""

    gpio: int
    level: int = 0
    is_output: bool = False
    edges: list[Edge] = field(default_factory=list)


class Pins:
    """The pins of a board, made when first asked for: `pins[26].level`."""

    def __init__(self, registers: Registers, inputs: tuple[tuple[int, int], ...] = ()) -> None:
        self._registers = registers
        self._pins: dict[int, EmulatedPin] = {}
        self._driven: dict[int, int] = dict(inputs)
        self._callbacks: list[Callable[[EmulatedPin, Edge], object]] = []

    def __getitem__(self, gpio: int) -> EmulatedPin:
        if not 0 <= gpio < GPIO_COUNT:
            raise KeyError(gpio)
        return self._pins.setdefault(gpio, EmulatedPin(gpio))

    def __iter__(self) -> Iterator[EmulatedPin]:
        """Give the pins that were used so far, by number."""
        return iter(sorted(self._pins.values(), key=lambda pin: pin.gpio))

    def on_edge(self, callback: Callable[[EmulatedPin, Edge], object]) -> None:
        """Call `callback(pin, edge)` for every change."""
        self._callbacks.append(callback)

    def drive(self, gpio: int, level: int) -> None:
        """Drive an input from outside, e.g. press a button; it stays so through power cuts. UserError for an output."""
        pin = self[gpio]
        if pin.is_output:
            raise UserError(f"gpio {gpio} is an output of the board: driving it would short it")
        self._driven[gpio] = 1 if level else 0
        self._registers.set_level(gpio, level)
        pin.level = self._driven[gpio]

    def changed_by_program(self, gpio: int, is_output: bool, level: int) -> None:
        """Take over what the board's program did to a pin."""
        pin = self[gpio]
        pin.is_output = is_output
        self._set(pin, level if is_output else self._driven.get(gpio, 0), "agent")

    def release(self) -> None:
        """Let every output go, as a chip does at reset and without power."""
        for pin in self:
            pin.is_output = False
            self._set(pin, self._driven.get(pin.gpio, 0), "power")

    def power_on(self) -> None:
        """Put the levels that come from outside on the pins of a chip that just got power."""
        for gpio, level in self._driven.items():
            self._registers.set_level(gpio, level)
            self[gpio].level = level

    def _set(self, pin: EmulatedPin, level: int, cause: Cause) -> None:
        if level == pin.level:
            return
        pin.level = level
        edge = Edge(time.monotonic(), level, cause)
        pin.edges.append(edge)
        for callback in self._callbacks:
            callback(pin, edge)
