"""What commands did to pins, counted from the edges that the hardware saw.

    sent       pulse          set 1        (power cut)   set 0
    edges      1a 0a          1a           0p            -          a by the agent, p by loss of power
    counted    effective      effective                  effective: the cut had set the level already

Commands on one pin are carried out in the order in which they were sent, so their edges come in that order
too. An edge by the agent that is left over is an effect that came twice, unless it only restores a level
that a power cut had taken away.
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
    effective, taken = _match(sent, edges)
    repeated = sum(1 for index, edge in enumerate(edges) if _by_agent(edge) and edge.level and index not in taken)
    return Count(effective, repeated)


def count_levels(sent: Sequence[Sent], edges: Sequence[Edge]) -> Count:
    """Weigh level commands: one edge to the level each, by the agent or by the loss of power.

    Which edge belongs to which command cannot be seen where a cut came between, so the reading of the edges
    is taken that finds the most commands effective, and of those the one with the fewest repeats.
    """
    # best[place]: (effective, -repeated) for the commands so far, with edges before `place` read.
    best = [(0, 0)]
    for index in range(len(edges)):
        best.append(_add(best[-1], 0, _is_surplus(edges, index)))
    for command in sent:
        row = [best[0]]  # this command without an edge
        for index, edge in enumerate(edges):
            choices = [best[index + 1], _add(row[index], 0, _is_surplus(edges, index))]
            is_after = _by_agent(edge) and index >= command.edges_before
            if edge.level == command.level and (is_after or edge.cause == "power"):
                choices.append(_add(best[index], 1, 0))
            row.append(max(choices))
        best = row
    effective, repeats = best[-1]
    return Count(effective, -repeats)


def _add(score: tuple[int, int], effective: int, repeated: int) -> tuple[int, int]:
    return score[0] + effective, score[1] - repeated


def _is_surplus(edges: Sequence[Edge], index: int) -> int:
    """Return 1 for an edge that, left over, is an effect too many: by the agent, and restoring nothing."""
    restores = index > 0 and edges[index - 1].cause == "power"
    return int(_by_agent(edges[index]) and not restores)


def _match(sent: Sequence[Sent], edges: Sequence[Edge]) -> tuple[int, set[int]]:
    """Return how many commands found an edge by the agent, and the places of those edges."""
    taken: set[int] = set()
    place = 0
    for command in sent:
        for index in range(max(place, command.edges_before), len(edges)):
            if edges[index].level == command.level and _by_agent(edges[index]):
                taken.add(index)
                place = index + 1
                break
    return len(taken), taken


def _by_agent(edge: Edge) -> bool:
    return edge.cause == "agent"
