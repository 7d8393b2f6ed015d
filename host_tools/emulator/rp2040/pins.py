"""The chip's GPIO pins as the world outside sees them: the same face as `host_tools.emulator.pins` shows."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from host_tools.emulator.pins import Cause, Edge, EmulatedPin
from host_tools.errors import UserError

_FUNCTION_PWM = 4  # "RP2040 Datasheet", section 2.19.2
# The Wi-Fi chip hangs on these and on no header; its firmware alone is millions of edges ("Pico W Datasheet", 2.1).
_WIFI_GPIOS = (23, 24, 25, 29)


class ChipPins:
    """The pins of one board, through all its power cycles; `attach` puts a chip behind them."""

    def __init__(self, inputs: tuple[tuple[int, int], ...] = ()) -> None:
        self._pins: dict[int, EmulatedPin] = {}
        self._driven = dict(inputs)
        self._callbacks: list[Callable[[EmulatedPin, Edge], object]] = []
        self._chip: Any = None

    def __getitem__(self, gpio: int) -> EmulatedPin:
        if not 0 <= gpio < 30:
            raise KeyError(gpio)
        return self._pins.setdefault(gpio, EmulatedPin(gpio))

    def __iter__(self) -> Iterator[EmulatedPin]:
        """Give the pins that were used so far, by number."""
        return iter(sorted(self._pins.values(), key=lambda pin: pin.gpio))

    def on_edge(self, callback: Callable[[EmulatedPin, Edge], object]) -> None:
        """Call `callback(pin, edge)` for every change."""
        self._callbacks.append(callback)

    def attach(self, chip: Any) -> None:
        """Watch the pins of a chip that was just powered."""
        self._chip = chip
        for number in range(len(chip.gpio)):
            if number in _WIFI_GPIOS:
                continue
            chip.gpio[number].add_listener(self._listener(number))
        for number, level in self._driven.items():
            chip.gpio[number].set_input_value(bool(level))

    def drive(self, gpio: int, level: int) -> None:
        """Drive an input from outside, e.g. press a button; it stays so through power cuts. UserError for an output."""
        pin = self[gpio]
        if pin.is_output:
            raise UserError(f"gpio {gpio} is an output of the board: driving it would short it")
        self._driven[gpio] = pin.level = 1 if level else 0
        if self._chip is not None:
            self._chip.gpio[gpio].set_input_value(bool(level))

    def release(self) -> None:
        """Let every output go, as a chip does at reset and without power."""
        for pin in self:
            if pin.is_output:
                self._let_go(pin, "power")

    def _listener(self, number: int) -> Callable[[int, int], object]:
        return lambda new, old: self._changed(number, new)

    def _changed(self, number: int, state: int) -> None:
        """Take over a state of rp2040py's GPIOPinState: LOW is 0, HIGH is 1, anything else is no output."""
        pin = self[number]
        if state not in (0, 1):
            if pin.is_output:
                self._let_go(pin, "agent")
        elif self._chip.gpio[number].function_select == _FUNCTION_PWM:
            pin.is_output = True  # the edges of a modulation are not counted
        else:
            pin.is_output = True
            self._set(pin, int(state), "agent")

    def _let_go(self, pin: EmulatedPin, cause: Cause) -> None:
        pin.is_output = False
        self._set(pin, self._driven.get(pin.gpio, 0), cause)

    def _set(self, pin: EmulatedPin, level: int, cause: Cause) -> None:
        if level == pin.level:
            return
        pin.level = level
        edge = Edge(time.monotonic(), level, cause)
        pin.edges.append(edge)
        for callback in self._callbacks:
            callback(pin, edge)
