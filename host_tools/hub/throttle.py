"""The quotas and throttles of IoT Hub's tiers, off unless a tier is chosen.

Microsoft, "IoT Hub quotas and throttling", per unit. A bucket holds what a burst may take at once and fills at
the published rate; MQTT has no way to say 429, so that a device beyond it is disconnected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from host_tools.errors import UserError

_DAY_S: Final = 86_400


class Kind(Enum):
    """What is counted."""

    DEVICE_MESSAGES = auto()
    CONNECTIONS = auto()
    COMMANDS = auto()
    METHOD_BYTES = auto()
    TWIN_READS = auto()
    TWIN_UPDATES = auto()
    REGISTRY = auto()


class Throttled(Exception):
    """Too much; IoT Hub's `code` (429001 or 403002) and the reason, for the log or the answer."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Tier:
    """rates: per second. daily_messages: blocks of `block_bytes` between two midnights UTC."""

    rates: dict[Kind, float]
    daily_messages: int
    block_bytes: int


def _tier(
    sends: float,
    commands: float,
    method_kb: float,
    reads: float,
    updates: float,
    registry: float,
    daily: int,
    block: int,
) -> Tier:
    rates = {
        Kind.DEVICE_MESSAGES: sends,
        Kind.CONNECTIONS: sends,
        Kind.COMMANDS: commands / 60,
        Kind.METHOD_BYTES: method_kb * 1024,
        Kind.TWIN_READS: reads,
        Kind.TWIN_UPDATES: updates,
        Kind.REGISTRY: registry / 60,
    }
    return Tier(rates, daily, block)


TIERS: Final = {
    "F1": _tier(100, 100, 160, 100, 50, 100, 8_000, 512),
    "S1": _tier(100, 100, 160, 100, 50, 100, 400_000, 4096),
    "S2": _tier(120, 100, 480, 100, 50, 100, 6_000_000, 4096),
    "S3": _tier(6_000, 5_000, 24 * 1024, 500, 250, 5_000, 300_000_000, 4096),
}
# How many seconds' worth may come at once. Microsoft lets bursts pass and publishes no size.
_BURST_S: Final = 10.0


class Throttle:
    """Counts against a tier's limits. now_s: returns Unix seconds; without a tier everything passes."""

    def __init__(self, tier: str | None, now_s: Callable[[], float]) -> None:
        if tier is not None and tier not in TIERS:
            raise UserError(f"tier {tier!r} is not known: choose one of {', '.join(TIERS)}")
        self._tier = TIERS[tier] if tier is not None else None
        self._now_s = now_s
        self._levels: dict[Kind, tuple[float, float]] = {}
        self._day = 0
        self._blocks = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is counted."""
        return self._tier is not None

    def allows(self, kind: Kind, amount: float = 1) -> bool:
        """Whether so much more may pass now; it counts if so."""
        if self._tier is None:
            return True
        rate, now = self._tier.rates[kind], self._now_s()
        full = max(rate * _BURST_S, 1)
        level, since = self._levels.get(kind, (full, now))
        level = min(full, level + max(0.0, now - since) * rate)
        passes = level >= min(amount, full)
        self._levels[kind] = (level - amount if passes else level, now)
        return passes

    def take(self, kind: Kind, size: int = 0) -> None:
        """Count a message of `size` bytes; raises Throttled if it may not pass."""
        if self._tier is None:
            return
        if kind is Kind.DEVICE_MESSAGES:
            self._count_blocks(size, self._tier)
        if not self.allows(kind):
            raise Throttled(429001, f"throttled: more than {self._tier.rates[kind]:g} {kind.name.lower()} per second")

    def _count_blocks(self, size: int, tier: Tier) -> None:
        day = int(self._now_s() // _DAY_S)
        if day != self._day:
            self._day, self._blocks = day, 0
        blocks = max(1, -(-size // tier.block_bytes))
        if self._blocks + blocks > tier.daily_messages:
            raise Throttled(403002, f"quota: {tier.daily_messages} messages a day are used up until 00:00 UTC")
        self._blocks += blocks
