"""A sensor whose every reading is unlike all others, so that each can be found again at the hub."""

from dataclasses import dataclass

from fieldpost.errors import SensorError

from host_tools.simulate.supply import Supply
from host_tools.simulate.world import World

# Two generations of firmware: what the first has stored must still be understood under the second.
SCHEMAS = ("count,u4,0,n;temperature,i2,-2,C", "count,u4,0,n;temperature,i2,-2,C;pressure,u3,-2,hPa")


@dataclass(slots=True)
class Given:
    """One reading as it was handed out. values: integers as the schema of that generation names them."""

    count: int
    utc_ms: int
    values: tuple[int, ...]


class Sensor:
    """Lives as long as the device's housing: boots come and go. generation: index into SCHEMAS."""

    def __init__(self, world: World, supply: Supply) -> None:
        self._world = world
        self._supply = supply
        self.generation = 0
        self.is_broken = False
        self.newest: Given | None = None
        self.newest_ms = 0
        self._count = 0

    def make(self) -> "SensorOnBus":
        """Return the driver's object. Raises SensorError while nothing answers."""
        if self.is_broken:
            raise SensorError("nothing answers")
        return SensorOnBus(self)

    def read(self) -> tuple[int, ...]:
        """Return the next reading, and keep it for the judges. Raises SensorError."""
        self._supply.spend("conversion")
        self.newest_ms = self._world.now_ms
        if self.is_broken:
            raise SensorError("does not answer")
        self._count += 1
        draw = self._world.random.randrange
        values = (self._count, draw(-4000, 8500), draw(30000, 110000))[: 2 + self.generation]
        self.newest = Given(self._count, self._world.utc_ms, values)
        return values


class SensorOnBus:
    """What the agent sees: `schema` and `read`."""

    def __init__(self, sensor: Sensor) -> None:
        self.schema = SCHEMAS[sensor.generation]
        self.read = sensor.read
