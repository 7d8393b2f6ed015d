"""A reading at the hub is the reading that the sensor gave: the same values, at the right time, once."""

from typing import Any

from host_tools.simulate.judges import PromiseBroken

# A quartz of 20 ppm that was set at the boot, read in steps of one turn of the loop.
DRIFT_PPM_MAX = 25
ERROR_MS_MAX = 2_000


class Readings:
    """expected: by count, the values (integers) and the true time of day of each reading given."""

    def __init__(self) -> None:
        self.undecoded = 0
        self._expected: dict[int, tuple[tuple[int, ...], int]] = {}
        self._numbers: dict[int, tuple[str, int]] = {}

    def given(self, count: int, values: tuple[int, ...], utc_ms: int) -> None:
        """The sensor has given a reading."""
        self._expected[count] = (values, utc_ms)

    def delivered(self, ring_id: str, record: dict[str, Any]) -> None:
        """A record that is a reading has arrived for the first time."""
        values = values_of(record)
        if "event" in record:
            self.undecoded += 1
        count = values[0]
        place = (ring_id, record["n"])
        if self._numbers.setdefault(count, place) != place:
            raise PromiseBroken(f"reading {count} came as {self._numbers[count]} and as {place}")
        if count not in self._expected:
            return  # long ago
        expected, utc_ms = self._expected[count]
        if values != expected[: len(values)]:
            raise PromiseBroken(f"reading {count} was {expected} and is {values}")
        if "t" in record:
            allowed_ms = ERROR_MS_MAX + record["up"] * DRIFT_PPM_MAX // 1_000_000
            if abs(record["t"] - utc_ms) > allowed_ms:
                raise PromiseBroken(f"reading {count} is {record['t'] - utc_ms} ms from its time")

    def forget_before(self, count: int) -> None:
        """Drop what is settled for long."""
        for table in (self._expected, self._numbers):
            for old in [old for old in table if old < count]:
                del table[old]


def is_reading(record: dict[str, Any]) -> bool:
    """Return whether a record is one: with its values, or as bytes whose schema the device does not have any more."""
    return "count" in record or record.get("event") == "reading"


def count_of(record: dict[str, Any]) -> int:
    """Return which reading of its sensor a record is."""
    return values_of(record)[0]


def values_of(record: dict[str, Any]) -> tuple[int, ...]:
    """Return the integers of a reading, whether the device knew its schema or not."""
    if "count" in record:
        names = [name for name in ("temperature", "pressure") if name in record]
        return (record["count"], *(round(record[name] * 100) for name in names))
    data = bytes.fromhex(record["bytes"])
    values = [int.from_bytes(data[:4], "little"), int.from_bytes(data[4:6], "little", signed=True)]
    if len(data) == 9:
        values.append(int.from_bytes(data[6:9], "little"))
    return tuple(values)
