"""Waiting for a device over a hub that can only be asked: the twin's verdict, and how a twin reads."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from host_tools.lab.desired import outcomes

Json = dict[str, Any]


def device_view(twin: Json) -> Json:
    """Return desired and reported properties of a service's twin document without their metadata."""
    properties = twin["properties"]
    return {
        name: {key: value for key, value in properties[name].items() if key != "$metadata"}
        for name in ("desired", "reported")
    }


def verdict_on(patch: Json, version: int, read: Callable[[], Json], timeout_s: float, poll_s: float) -> Json:
    """Ask `read` for the twin until the device has dealt with each property of `patch`; return as `set_twin` does."""
    deadline_s = time.monotonic() + timeout_s
    while (found := outcomes(patch, version, read()["reported"])) is None:
        if time.monotonic() >= deadline_s:
            return {
                "version": version,
                "status": "none",
                "reason": "the device did not report in time; the hub keeps the desired properties",
            }
        time.sleep(poll_s)
    status = "applied" if all(one.is_applied for one in found) else "refused"
    return {"version": version, "status": status, "properties": [dataclasses.asdict(one) for one in found]}
