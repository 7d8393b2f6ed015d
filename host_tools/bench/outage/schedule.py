"""What happens, and when: to all contestants at the same moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from host_tools.lab.plan import Step
from host_tools.lab.quantities import Span

POWER_OFF_S: Final = 2.0
BROKER_OFF_S: Final = 3.0


@dataclass(frozen=True)
class Schedule:
    """Seconds from the start. The sensor is unplugged at `length_s`; what is kept may then come until
    nothing has for `quiet_s`, or `drain_s_max` are over."""

    length_s: float
    outages: tuple[Span, ...]
    power_cuts_s: tuple[float, ...]
    broker_restarts_s: tuple[float, ...]
    quiet_s: float
    drain_s_max: float

    def spans(self) -> dict[str, tuple[Span, ...]]:
        """Return when what was away: the link, the power, the broker."""
        return {
            "link": self.outages,
            "power": tuple(Span(at_s, POWER_OFF_S) for at_s in self.power_cuts_s),
            "broker": tuple(Span(at_s, BROKER_OFF_S) for at_s in self.broker_restarts_s),
        }

    def steps(self) -> list[Step]:
        """Return everything in the order of time: link_, power_ and broker_ steps."""
        words = {"link": ("link_down", "link_up"), "power": ("power_off", "power_on")}
        words["broker"] = ("broker_stop", "broker_start")
        found = []
        for what, spans in self.spans().items():
            for span in spans:
                found += [Step(span.start_s, words[what][0]), Step(span.end_s, words[what][1])]
        return sorted(found)


# An outage; a power cut; an outage in which the power goes as well; the broker is updated.
WHOLE: Final = Schedule(90.0, (Span(10.0, 15.0), Span(45.0, 20.0)), (35.0, 55.0), (75.0,), 30.0, 180.0)
QUICK: Final = Schedule(24.0, (Span(3.0, 4.0), Span(11.0, 6.0)), (8.0, 14.0), (19.0,), 20.0, 90.0)
