"""GPIO pins as the world outside the board sees them: levels, and every change with its time and cause."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from host_tools.emulator.nor_flash import PowerCut
from host_tools.emulator.registers import GPIO_COUNT, Registers
from host_tools.errors import UserError

Cause = Literal["agent", "power"]

_VOLTS_MAX = 3.6  # absolute maximum of the supply in the datasheets of ESP32 and RP2040, so of a pin too


@dataclass(frozen=True)
class Edge:
    """A change of level. t_s: seconds of the monotonic clock. cause: the program, or power lost or a reset."""

    t_s: float
    level: int
    cause: Cause


@dataclass(frozen=True)
class Pwm:
    """What a pin puts out that is neither low nor high. duty_u16: share of the time that it is high, of 65535."""

    frequency_hz: int
    duty_u16: int


@dataclass
class EmulatedPin:
    """One GPIO. level: what a meter would show; edges: every change so far, oldest first.

    pwm: while the chip modulates the pin, else None. The level is then 1 if the duty is more than 0: the edges
    of the modulation itself are not counted.
    """

    gpio: int
    level: int = 0
    is_output: bool = False
    pwm: Pwm | None = None
    edges: list[Edge] = field(default_factory=list)


@dataclass
class _Cut:
    edges_left: int
    is_before: bool
    gpio: int | None

    def is_due(self, gpio: int) -> bool:
        """Count an edge on `gpio`; return whether it is the one."""
        if self.gpio in (None, gpio):
            self.edges_left -= 1
        return self.edges_left == 0


class Pins:
    """The pins of a board, made when first asked for: `pins[26].level`."""

    def __init__(self, registers: Registers, inputs: tuple[tuple[int, int], ...] = ()) -> None:
        self._registers = registers
        self._pins: dict[int, EmulatedPin] = {}
        self._driven: dict[int, int] = dict(inputs)
        self._callbacks: list[Callable[[EmulatedPin, Edge], object]] = []
        self._cut: _Cut | None = None

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

    def set_voltage(self, gpio: int, volts: float) -> None:
        """Put a voltage on a pin, for the chip to measure; it stays through power cuts. UserError beyond 0..3.6 V."""
        if not 0 <= volts <= _VOLTS_MAX:
            raise UserError(f"{volts:g} V would destroy the chip: 0 to {_VOLTS_MAX:g} V")
        self._registers.set_voltage(self[gpio].gpio, volts)

    def cut_at_edge(self, nth: int, is_before: bool, gpio: int | None) -> None:
        """Fail with PowerCut at the `nth` change by the program from now (1 is the next), on `gpio` or anywhere.

        is_before: the change does not reach the pin any more. Else it does, and nothing after it.
        """
        self._cut = _Cut(nth, is_before, gpio)
        self._registers.answer_pins(True)

    def forget_cut(self) -> None:
        """Take back `cut_at_edge`."""
        self._cut = None
        self._registers.answer_pins(False)

    def changed_by_program(self, gpio: int, is_output: bool, level: int) -> None:
        """Take over what the board's program did to a pin. PowerCut if a cut was waiting for this edge."""
        self._change(self[gpio], is_output, level if is_output else self._driven.get(gpio, 0), None)

    def modulated_by_program(self, gpio: int, pwm: Pwm | None) -> None:
        """Take over what the board's program did to a PWM; None: stopped. PowerCut as in `changed_by_program`."""
        level = self._driven.get(gpio, 0) if pwm is None else int(pwm.duty_u16 > 0)
        self._change(self[gpio], pwm is not None, level, pwm)

    def stop_pwm(self) -> None:
        """Stop all modulation, as both ports do at a soft reset."""
        for pin in self:
            if pin.pwm is not None:
                self._let_go(pin)

    def release(self) -> None:
        """Let every output go, as a chip does at reset and without power."""
        for pin in self:
            self._let_go(pin)

    def power_on(self) -> None:
        """Put the levels that come from outside on the pins of a chip that just got power."""
        for gpio, level in self._driven.items():
            self._registers.set_level(gpio, level)
            self[gpio].level = level

    def _change(self, pin: EmulatedPin, is_output: bool, level: int, pwm: Pwm | None) -> None:
        cut = self._cut if level != pin.level else None
        is_due = cut is not None and cut.is_due(pin.gpio)
        if cut is None or not is_due or not cut.is_before:
            pin.is_output = is_output
            pin.pwm = pwm
            self._set(pin, level, "agent")
        if is_due:
            raise PowerCut(f"at an edge of gpio {pin.gpio}")

    def _let_go(self, pin: EmulatedPin) -> None:
        pin.is_output = False
        pin.pwm = None
        self._set(pin, self._driven.get(pin.gpio, 0), "power")

    def _set(self, pin: EmulatedPin, level: int, cause: Cause) -> None:
        if level == pin.level:
            return
        pin.level = level
        edge = Edge(time.monotonic(), level, cause)
        pin.edges.append(edge)
        for callback in self._callbacks:
            callback(pin, edge)
