"""What commands did to pins, counted from the edges that the hardware saw.

    sent       pulse          set 1        (power cut)   set 0
    edges      1a 0a          1a           0p            -          a by the agent, p by loss of power
    counted    effective      effective                  effective: the cut had set the level already

Commands on one pin are carried out in the order in which they were sent, so each takes the first edge to
its level after it was sent that no earlier command has taken. An edge by the agent that is left over is an
effect that came twice, unless it only restores a level that a power cut had taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Edge(Protocol):
    """A change of a pin as the emulated hardware records it; cause is "agent" or "power"."""

    @property
    def level(self) -> int: ...
    @property
    def cause(self) -> str: ...


@dataclass(frozen=True)
class Sent:
    """A command that was sent: the level that it drives its pin to, and how many edges were there before."""

    level: int
    edges_before: int


@dataclass(frozen=True)
class Count:
    """effective: commands that had their effect; repeated: effects beyond one for each command."""

    effective: int
    repeated: int


def count_pulses(sent: Sequence[Sent], edges: Sequence[Edge]) -> Count:
    """Weigh pulses: one rising edge by the agent each. A cut may end a pulse early but never begins one."""
    effective, taken = _match(sent, edges, power=False)
    repeated = sum(1 for index, edge in enumerate(edges) if _by_agent(edge) and edge.level and index not in taken)
    return Count(effective, repeated)


def count_levels(sent: Sequence[Sent], edges: Sequence[Edge]) -> Count:
    """Weigh level commands: one edge to the level each, by the agent or by the loss of power."""
    effective, taken = _match(sent, edges, power=True)
    repeated = 0
    for index, edge in enumerate(edges):
        restores = index > 0 and edges[index - 1].cause == "power"
        if _by_agent(edge) and index not in taken and not restores:
            repeated += 1
    return Count(effective, repeated)


def _match(sent: Sequence[Sent], edges: Sequence[Edge], power: bool) -> tuple[int, set[int]]:
    """Return how many commands found an edge, and the places of those edges.

    power: whether a loss of power may stand in for the agent; it may have come before the command was sent.
    """
    taken: set[int] = set()
    place = 0
    for command in sent:
        for index in range(place, len(edges)):
            edge = edges[index]
            is_after = _by_agent(edge) and index >= command.edges_before
            if edge.level == command.level and (is_after or (power and edge.cause == "power")):
                taken.add(index)
                place = index + 1
                break
    return len(taken), taken


def _by_agent(edge: Edge) -> bool:
    return edge.cause == "agent"
