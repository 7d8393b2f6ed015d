"""What became of desired properties: the board reports each under the name that it was asked for.

    desired   {"pins": {"relay": 1}, "settings": {"sample_interval_ms": 5}, "$version": 7}
    reported  {"pins": {"relay": 1}, "desired_version": 7, "errors": {"settings": {"sample_interval_ms": "why"}}}

`desired_version` is the newest version that the board has dealt with; `errors` holds, in the place of a property or
of what it lies in, why it was not taken. A property that is removed is no longer reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from host_tools.errors import UserError

Json = dict[str, Any]

VERSION_KEY = "desired_version"
ERRORS_KEY = "errors"


@dataclass(frozen=True)
class Outcome:
    """What became of one property. reason: why the board did not take it, or None."""

    path: str
    desired: Any
    reported: Any
    reason: str | None

    @property
    def is_applied(self) -> bool:
        """Whether the board reports what was asked for."""
        return self.reason is None and self.desired == self.reported


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

    version: of the desired properties that hold the patch. A board that reports no version has dealt with what
    it reports as it was asked for.
    """
    dealt_with = reported.get(VERSION_KEY)
    if dealt_with is not None and dealt_with < version:
        return None
    errors = reported.get(ERRORS_KEY) or {}
    found = [
        Outcome(path, value, _at(reported, path), None if dealt_with is None else _reason(errors, path))
        for path, value in leaves(patch)
    ]
    return found if all(one.is_applied or one.reason is not None for one in found) else None


def _at(document: Json, path: str) -> Any:
    """Return what stands at a dotted path, or None."""
    place: Any = document
    for name in path.split("."):
        place = place.get(name) if isinstance(place, dict) else None
    return place


def _reason(errors: Json, path: str) -> str | None:
    """Return why the property at `path`, or something around it, was not taken."""
    place: Any = errors
    for name in path.split("."):
        place = place.get(name) if isinstance(place, dict) else place
    return None if place is None else str(place)
