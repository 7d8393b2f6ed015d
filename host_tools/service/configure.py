"""Writes what the installed service reads: /etc/fieldpost/config.json for all to see, identity.json for root alone."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldpost.config import check_identity
from fieldpost.daemon import settings
from fieldpost.errors import ConfigError
from fieldpost.limits import RING_SECTORS_MAX

from host_tools.boards import load
from host_tools.errors import UserError
from host_tools.queue.capacity import sectors_for

FOLDER = Path("/etc/fieldpost")
CONFIG = "config.json"
IDENTITY = "identity.json"
_IDENTITY_BYTES_MAX = 65_536
_HOURS = 48
_NO_CONFIGURATION = "no configuration of this service: move it away, and start anew"


@dataclass(frozen=True)
class Wanted:
    """What an administrator asks for. None leaves what is configured; where nothing is, there is a default.

    hours: of readings that the queue keeps. interval_s: between two readings. address: of the BME280.
    """

    identity: Path | None = None
    hub: str | None = None
    port: int | None = None
    dialect: str | None = None
    hours: float | None = None
    interval_s: float | None = None
    address: int | None = None


def configuration(wanted: Wanted, device: str, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the config.json of a service: what is `found` with what is `wanted`. UserError names what is wrong.

    device: its name at the hub.
    """
    config = _first(wanted, device) if found is None else {**copy.deepcopy(found), "device": device}
    try:
        hub, ring, sensors = config.setdefault("hub", {}), config["ring"], config["sensors"]
        for key, value in (("host", wanted.hub), ("port", wanted.port), ("dialect", wanted.dialect)):
            if value is not None:
                hub[key] = value
        if wanted.dialect == "plain":
            hub.pop("twin", None)  # only Azure has them
            hub.pop("methods", None)
        if wanted.interval_s is not None:
            config["sample_interval_ms"] = round(wanted.interval_s * 1000)
            sensors[0].pop("interval_ms", None)
        for sensor in sensors:
            if sensor["driver"] == "bme280" and wanted.address is not None:
                sensor["address"] = wanted.address
        hours = wanted.hours if wanted.hours is not None or found is not None else _HOURS
        if hours is not None:
            ring["sectors"] = _sectors(hours, interval_s(config), aside(config))
        settings.check(config, FOLDER / CONFIG)
    except ConfigError as error:
        raise UserError(str(error)) from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{FOLDER / CONFIG} is no configuration of this service: move it away, and start anew"
        ) from error
    return config


def interval_s(config: dict[str, Any]) -> float:
    """Return the time between two readings of the first sensor."""
    milliseconds: int = config["sensors"][0].get("interval_ms", config.get("sample_interval_ms", 1000))
    return milliseconds / 1000


def aside(config: dict[str, Any]) -> int:
    """Return the sectors of the queue that hold no readings."""
    ring: dict[str, int] = config["ring"]
    return ring.get("journal_sectors", 4) + ring.get("urgent_sectors", 8)


def _first(wanted: Wanted, device: str) -> dict[str, Any]:
    if wanted.hub is None:
        raise UserError("nothing is configured yet: give --identity FILE and --hub NAME.azure-devices.net")
    board = load("raspberry_pi")
    config = board.device_config(device, wanted.hub, wanted.port or 8883, status_interval_ms=0)
    return {**config, "sample_interval_ms": 1000}


def _sectors(hours: float, every_s: float, others: int) -> int:
    sectors = sectors_for(hours, every_s)
    if sectors + others > RING_SECTORS_MAX:
        most = hours * (RING_SECTORS_MAX - others) / sectors
        raise UserError(f"{hours:g} h of a reading every {every_s:g} s do not fit: at most {most:.0f} h do")
    return max(sectors + others, 16)


def read_configuration(folder: Path = FOLDER) -> dict[str, Any] | None:
    """Return the config.json that is there, None without one. UserError if it cannot be read."""
    try:
        found = json.loads((folder / CONFIG).read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{folder / CONFIG} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG} is not JSON ({error}): mend it or move it away") from error
    if not isinstance(found, dict):
        raise UserError(f"{folder / CONFIG} is {_NO_CONFIGURATION}")
    return found


def read_identity(path: Path) -> dict[str, Any]:
    """Return a checked identity. UserError names the file, never what stands in it."""
    try:
        text = path.read_bytes()[:_IDENTITY_BYTES_MAX]
        identity = json.loads(text)
        check_identity(identity)
    except PermissionError as error:
        raise UserError(f"{path} may not be read by you: run this with sudo") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: it holds device_id, ca_der, and a key or a certificate") from error
    except ConfigError as error:
        raise UserError(f"{path}: {error}") from error
    return dict(identity)


def fits(identity: dict[str, Any], config: dict[str, Any]) -> None:
    """Raise UserError unless the hub of `config` takes such an identity."""
    try:
        check_identity(identity, settings.check(config, FOLDER / CONFIG)["hub"])
    except ConfigError as error:
        raise UserError(str(error)) from error


def write(config: dict[str, Any], identity: dict[str, Any], folder: Path = FOLDER) -> None:
    """Write both files, each whole or not at all. UserError if that is not allowed."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _replace(folder / IDENTITY, identity, 0o600)
        _replace(folder / CONFIG, config, 0o644)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): run this with sudo") from error


def _replace(path: Path, content: dict[str, Any], mode: int) -> None:
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
