"""Time, chance and events of one simulated life: the same seed gives the same world, bit for bit."""

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable

# Thursday 2026-01-01T00:00:00Z: lives begin here, in Unix ms.
EPOCH_MS = 1_767_225_600_000
TICKS_PERIOD = 1 << 30  # of the port's counter (compat.ticks_ms): it wraps every 12.4 days here too

Event = Callable[[], None]


class World:
    """The clock (integer ms since the life began), the generator of all chance, and what is going to happen.

    faults: how often each kind of fault has struck. on_trace: takes one line for each thing that happens.
    """

    def __init__(self, seed: int, on_trace: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.now_ms = 0
        self.faults: Counter[str] = Counter()
        self._on_trace = on_trace
        self._events: list[tuple[int, int, Event]] = []
        self._count = 0

    @property
    def utc_ms(self) -> int:
        """The true time of day, Unix ms."""
        return EPOCH_MS + self.now_ms

    def at(self, at_ms: int, event: Event) -> None:
        """Let `event` happen at `at_ms`; events of the same moment happen in the order of these calls."""
        self._count += 1
        heapq.heappush(self._events, (max(at_ms, self.now_ms), self._count, event))

    def after(self, delay_ms: int, event: Event) -> None:
        """Let `event` happen `delay_ms` from now."""
        self.at(self.now_ms + delay_ms, event)

    @property
    def next_event_ms(self) -> int | None:
        """When something happens next, or None."""
        return self._events[0][0] if self._events else None

    def happen(self) -> None:
        """Go to the next event and let it happen."""
        at_ms, _, event = heapq.heappop(self._events)
        self.now_ms = at_ms
        event()

    def fault(self, kind: str, text: str = "") -> None:
        """Count a fault and tell of it."""
        self.faults[kind] += 1
        if self._on_trace is not None:
            self.trace(f"FAULT {kind} {text}")

    @property
    def is_traced(self) -> bool:
        """Whether somebody reads `trace`: spares the making of texts."""
        return self._on_trace is not None

    def trace(self, text: str) -> None:
        """Tell what happens."""
        if self._on_trace is not None:
            self._on_trace(f"{clock_text(self.now_ms)} {text}")

    # --- chance -------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """Return True that often."""
        return self.random.random() < probability

    def spread(self, low: float, high: float) -> int:
        """Return an integer from `low` to `high` whose logarithm is uniform: all magnitudes are as likely."""
        return int(low * math.pow(high / low, self.random.random()) + 0.5)


def clock_text(ms: int) -> str:
    """Return a moment as days and time of day, such as `12d 03:04:05.678`."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
