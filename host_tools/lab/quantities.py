"""Durations, rates and moments as people type them: 10s, 500ms, 1m30s, 5/s, 10s@15s."""

import re
from dataclasses import dataclass

from host_tools.errors import UserError

DURATION_S_MAX = 7 * 24 * 3600.0  # a lab that runs longer is a service, and wants more care than a lab takes
RATE_HZ_MAX = 20.0  # one forced conversion at highest oversampling takes up to 113 ms, at x1 about 10 ms
RATE_HZ_MIN = 1 / 3600

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|min|s|m|h)", re.ASCII)
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(ms|min|s|m|h)", re.ASCII)


@dataclass(frozen=True)
class Span:
    """A stretch of a run: `length_s` seconds from `start_s` on, counted from the start of the run."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.length_s


def duration_s(text: str) -> float:
    """Return the seconds that "10s", "500ms", "2m", "1h" or "1m30s" means. Raises UserError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UserError(f"'{text}' is no duration: write it like 10s, 500ms, 2m or 1m30s")
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    if not 0 < seconds <= DURATION_S_MAX:
        raise UserError(f"'{text}' lies outside the durations that a lab takes: more than 0, at most 7 days")
    return seconds


def rate_hz(text: str) -> float:
    """Return the times per second that "5/s" or "30/min" means. Raises UserError."""
    match = _RATE.fullmatch(text)
    if not match:
        raise UserError(f"'{text}' is no rate: write it like 5/s or 30/min")
    rate = float(match[1]) / _UNIT_S[match[2]]
    if not RATE_HZ_MIN <= rate <= RATE_HZ_MAX:
        raise UserError(f"'{text}' lies outside the rates that a board keeps up with: 1/h to {RATE_HZ_MAX:g}/s")
    return rate


def span(text: str, default_length_s: float | None = None) -> Span:
    """Return the span that "10s@15s" means: 10 s long, from 15 s on. Raises UserError.

    default_length_s: what "15s" alone stands for, a span of that length; without it both must be given.
    """
    length, at, start = text.partition("@")
    if at:
        return Span(_start_s(start), duration_s(length))
    if default_length_s is None:
        raise UserError(f"'{text}' does not say when: write LENGTH@START, like 10s@15s")
    return Span(_start_s(length), default_length_s)


def _start_s(text: str) -> float:
    return 0.0 if text == "0s" else duration_s(text)
