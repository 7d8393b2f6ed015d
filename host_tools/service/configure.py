"""Writes what the installed service reads: /etc/fieldpost/config.json for all to see, identity.json for root alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fieldpost.config import check_identity
from fieldpost.errors import ConfigError
from fieldpost.limits import RING_SECTORS_MAX

from host_tools.boards import load
from host_tools.errors import UserError
from host_tools.queue.capacity import sectors_for

FOLDER = Path("/etc/fieldpost")
CONFIG = "config.json"
IDENTITY = "identity.json"
_IDENTITY_BYTES_MAX = 65_536


def configuration(
    device: str, hub: str, port: int, hours: float, interval_s: float, address: int, **settings: Any
) -> dict[str, Any]:
    """Return a config.json for a Raspberry Pi whose ring keeps `hours` of readings, one every `interval_s`.

    address: of the BME280. UserError names what is wrong.
    """
    board = load("raspberry_pi")
    ring = dict(board.ring)
    aside = ring["journal_sectors"] + ring["urgent_sectors"]
    sectors = sectors_for(hours, interval_s)
    if sectors + aside > RING_SECTORS_MAX:
        most = hours * (RING_SECTORS_MAX - aside) / sectors
        raise UserError(f"{hours:g} h of a reading every {interval_s:g} s do not fit: at most {most:.0f} h do")
    ring["sectors"] = max(sectors + aside, 16)
    config = board.device_config(
        device, hub, port, sample_interval_ms=round(interval_s * 1000), status_interval_ms=0, **settings
    )
    config["ring"] = ring
    config["sensors"] = [{"driver": "bme280", "address": address}]
    return config


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
        raise UserError(f"{path} is not JSON: it holds device_id, key and ca_der") from error
    except ConfigError as error:
        raise UserError(f"{path}: {error}") from error
    return dict(identity)


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
