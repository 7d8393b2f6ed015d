"""What became of desired properties: the board says so beside what it reports.

    desired   {"pins": {"relay": 1}, "settings": {"sample_interval_ms": 5000}, "$version": 4}
    reported  {"pins": {"relay": {"value": 1, "status": "done", "version": 4}},
               "settings": {"sample_interval_ms": 5000, "status": "trial", "version": 4}}

The nearest object around a property that has `status` and `version` is the verdict on it: which version of the
desired properties the board has dealt with, how, and, if it has not taken it, the `reason`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from host_tools.errors import UserError

Json = dict[str, Any]

# "trial": the board works with it and takes it back by itself if it does it no good.
_TAKEN = ("done", "applied", "trial", "removed")
_KNOWN = ("pins", "settings")  # what the agent looks at
_WAITING = "waiting"  # it will be done as soon as it can be


@dataclass(frozen=True)
class Outcome:
    """What became of one property. status: the board's word for it; reason: why it was not taken, or None."""

    path: str
    desired: Any
    reported: Any
    status: str
    reason: str | None = None

    @property
    def is_applied(self) -> bool:
        """Whether the board has taken it."""
        return self.status in _TAKEN


def nested(assignments: Json) -> Json:
    """Return {"pins": {"relay": 1}} for {"pins.relay": 1}. Raises UserError if two of them exclude one another."""
    found: Json = {}
    for path, value in assignments.items():
        *folders, name = path.split(".")
        if not all((*folders, name)):
            raise UserError(f"'{path}' is no property: write it like pins.relay")
        place = found
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise UserError(f"'{path}' lies inside a value that stands there too: keep one of them")
        if name in place:
            raise UserError(f"'{path}' stands there twice, or around another: keep one of them")
        place[name] = value
    return found


def check_known(patch: Json) -> None:
    """Raise UserError for a property that the agent does not look at, and so would never report; one may be removed."""
    for path, value in leaves(patch):
        if path.partition(".")[0] not in _KNOWN and value is not None:
            raise UserError(f"the agent has no use for '{path}': expected pins.NAME or settings.NAME")


def leaves(document: Json, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of everything in a document that is no object with members."""
    for name, value in document.items():
        path = before + name
        if isinstance(value, dict) and value:
            yield from leaves(value, path + ".")
        else:
            yield path, value


def outcomes(patch: Json, version: int, reported: Json) -> list[Outcome] | None:
    """Return what became of each property of `patch`, or None while the board has not dealt with all of them.

    version: of the desired properties that hold the patch. What is removed (None) is the board's no longer.
    """
    found = []
    for path, value in leaves(patch):
        said, actual = verdict(reported, path)
        if value is None:
            found.append(Outcome(path, None, actual, "removed"))
        elif said is None or said["version"] < version or said["status"] == _WAITING:
            return None
        else:
            found.append(Outcome(path, value, actual, str(said["status"]), why_not(said)))
    return found


def why_not(said: Json) -> str | None:
    """Return why a verdict says no, or None."""
    return None if said["status"] in _TAKEN else str(said.get("reason") or "the board gives no reason")


def verdict(reported: Json, path: str) -> tuple[Json | None, Any]:
    """Return the verdict on a property, or None, and the value that is reported for it, or None."""
    found = None
    place: Any = reported
    for name in path.split("."):
        place = place.get(name) if isinstance(place, dict) else None
        if isinstance(place, dict) and isinstance(place.get("version"), int) and "status" in place:
            found = place
            place = place.get("value", place)
    return found, place
