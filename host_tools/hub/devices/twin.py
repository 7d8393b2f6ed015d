"""One device twin: desired and reported properties with versions, and tags. Pure data, no device, no disk.

Microsoft, "Understand and use device twins in IoT Hub".

    service  --desired patch-->  desired  $version n+1  --notification--> device
    device   --reported patch--> reported $version m+1
    service  --tags-->           tags, which the device never sees
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, Final

from host_tools.hub.devices import merge_patch
from host_tools.hub.devices.merge_patch import DocumentRefused, Json

PROPERTIES_SIZE_MAX: Final = 32 * 1024
TAGS_SIZE_MAX: Final = 8 * 1024
# What a service may send back as it got it; the hub keeps these itself.
_KEPT_BY_HUB: Final = ("$version", "$metadata")


@dataclass(slots=True)
class Section:
    """Desired or reported properties. metadata: when each name changed, and at which version if desired."""

    values: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    version: int = 1

    def with_version(self) -> Json:
        """What a device gets."""
        return {**self.values, "$version": self.version}

    def with_metadata(self) -> Json:
        """What a service gets."""
        return {**self.values, "$metadata": self.metadata, "$version": self.version}


@dataclass(slots=True)
class Twin:
    """version: grows with every change of properties or tags."""

    desired: Section = field(default_factory=Section)
    reported: Section = field(default_factory=Section)
    tags: Json = field(default_factory=dict)
    version: int = 1

    def patch_reported(self, patch: Any, now: str) -> int:
        """Apply a device's patch and return the new version; DocumentRefused changes nothing."""
        return self._patch(self.reported, _without_kept(patch), now, None)

    def patch_desired(self, patch: Any, now: str) -> Json:
        """Apply a service's patch and return what the device is told; DocumentRefused changes nothing."""
        patch = _without_kept(patch)
        version = self._patch(self.desired, patch, now, self.desired.version + 1)
        return {**patch, "$version": version}

    def replace_desired(self, document: Any, now: str) -> Json:
        """Replace all of them and return what the device is told; DocumentRefused changes nothing."""
        document = merge_patch.merged({}, _without_kept(document))
        _check(document, PROPERTIES_SIZE_MAX, "desired properties")
        section = self.desired
        section.version += 1
        section.metadata = merge_patch.stamped({}, document, document, now, section.version)
        section.values = document
        self.version += 1
        return section.with_version()

    def change_tags(self, tags: Any, is_replaced: bool) -> None:
        """Merge or replace the tags; DocumentRefused changes nothing."""
        new = merge_patch.merged({} if is_replaced else self.tags, _without_kept(tags))
        _check(new, TAGS_SIZE_MAX, "tags")
        self.tags = new
        self.version += 1

    def for_device(self) -> Json:
        """The body of the answer to a device's GET."""
        return {"desired": self.desired.with_version(), "reported": self.reported.with_version()}

    def as_json(self) -> str:
        """For the store."""
        parts = {name: [part.values, part.metadata, part.version] for name, part in self._sections()}
        return json.dumps({**parts, "tags": self.tags, "version": self.version})

    @classmethod
    def from_json(cls, text: str) -> Twin:
        """The twin that `as_json` wrote."""
        found = json.loads(text)
        return cls(Section(*found["desired"]), Section(*found["reported"]), found["tags"], found["version"])

    def copy(self) -> Twin:
        """A twin to change while this one stays."""
        return copy.deepcopy(self)

    def _sections(self) -> tuple[tuple[str, Section], ...]:
        return (("desired", self.desired), ("reported", self.reported))

    def _patch(self, section: Section, patch: Json, now: str, stamp_version: int | None) -> int:
        new = merge_patch.merged(section.values, patch)
        _check(patch, None, "patch")
        _check(new, PROPERTIES_SIZE_MAX, "properties")
        section.version += 1
        section.metadata = merge_patch.stamped(section.metadata, new, patch, now, stamp_version)
        section.values = new
        self.version += 1
        return section.version


def _without_kept(document: Any) -> Json:
    if not isinstance(document, dict):
        raise DocumentRefused("an object is expected")
    return {key: value for key, value in document.items() if key not in _KEPT_BY_HUB}


def _check(document: Json, size_max: int | None, what: str) -> None:
    merge_patch.check(document)
    size = merge_patch.size(document)
    if size_max is not None and size > size_max:
        raise DocumentRefused(f"{what} would have a size of {size}, limit {size_max}")
