"""Output pins as an oscilloscope sees them."""

from collections.abc import Callable

from host_tools.simulate.supply import Supply

SAFE = 0


class OutputPin:
    """One pin, like machine.Pin. on_edge(name, level) is told of every change."""

    def __init__(self, name: str, supply: Supply, on_edge: Callable[[str, int], None]) -> None:
        self.name = name
        self.level = SAFE
        self._supply = supply
        self._on_edge = on_edge

    def value(self, level: int | None = None) -> int:
        """Return the level, or set it."""
        if level is None:
            return self.level
        if level == self.level:
            return level
        self._supply.spend(f"pin {self.name}")
        self.level = level
        self._on_edge(self.name, level)
        self._supply.spend(f"pin {self.name}")
        return level

    def without_power(self) -> None:
        """A pull-down resistor holds the pin while nobody drives it."""
        if self.level != SAFE:
            self.level = SAFE
            self._on_edge(self.name, SAFE)
