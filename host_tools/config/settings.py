"""fieldpost.toml: what may stand in it and what it means. Nothing in it is secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldpost.shapes import Choice, Fields, Integer, ListOf, Mismatch, Optional, Text

from host_tools.config.toml_file import read_toml

FILE = "fieldpost.toml"
LOCAL = "local"

_HOST = Text(253, "a host name")  # RFC 1035 section 2.3.4
_SHAPE = Fields(
    (
        "hub",
        Fields(
            ("kind", Choice(LOCAL, "azure")),
            ("host", Optional(_HOST)),
            ("port", Optional(Integer(1, 65535), 8883)),
            ("root_certificate", Optional(Text(255, "the path of a PEM file"))),
            ("data", Optional(Text(255, "the path of a folder"))),
        ),
    ),
    (
        "provisioning",
        Optional(Fields(("id_scope", Optional(Text(32, "an ID scope, such as 0ne00000000")))), {}),
    ),
    (
        "readings",
        Optional(
            Fields(
                ("interval_ms", Optional(Integer(50, 86_400_000, "milliseconds"), 1000)),
            ),
            {},
        ),
    ),
    (
        "wifi",
        Optional(Fields(("networks", Optional(ListOf(Text(32, "a network name"), 8), ()))), {}),
    ),
    ("time", Optional(Fields(("servers", Optional(ListOf(_HOST, 4, 1), ("pool.ntp.org",)))), {})),
)


@dataclass(frozen=True)
class Settings:
    """What fieldpost.toml says. path: where it lies; None if there is none and the defaults hold.

    hub_host: of an Azure hub; None for the local one, whose folder is hub_data (None: its usual place).
    """

    path: Path | None
    is_local: bool
    hub_host: str | None
    hub_port: int
    hub_data: Path | None
    root_certificate: Path | None
    id_scope: str | None
    interval_ms: int
    networks: tuple[str, ...]
    time_servers: tuple[str, ...]

    def device_settings(self) -> dict[str, Any]:
        """Return the part of a device's config.json that these settings decide."""
        return {
            "sample_interval_ms": self.interval_ms,
            "wifi": [{"ssid": ssid} for ssid in self.networks],
            "ntp_hosts": list(self.time_servers),
        }


def read_settings(path: Path | None = None) -> Settings:
    """Return what `path` says; without one, fieldpost.toml in this folder, or the defaults if that is absent.

    Paths in the file are relative to it. UserError names file, line, key and what is expected.
    """
    given = path or Path(FILE)
    if path is None and not given.exists():
        return _settings(None, _SHAPE.check({"hub": {"kind": LOCAL}}, ""))
    return _settings(given, read_toml(given, _SHAPE, _check_hub))


def _check_hub(values: dict[str, Any]) -> None:
    if values["hub"]["kind"] != LOCAL and values["hub"]["host"] is None:
        raise Mismatch("hub.host is missing: expected the hub's host name, such as NAME.azure-devices.net")


def _settings(path: Path | None, values: dict[str, Any]) -> Settings:
    hub = values["hub"]
    return Settings(
        path=path,
        is_local=hub["kind"] == LOCAL,
        hub_host=None if hub["kind"] == LOCAL else hub["host"],
        hub_port=hub["port"],
        hub_data=_beside(path, hub["data"]),
        root_certificate=_beside(path, hub["root_certificate"]),
        id_scope=values["provisioning"]["id_scope"],
        interval_ms=values["readings"]["interval_ms"],
        networks=tuple(values["wifi"]["networks"]),
        time_servers=tuple(values["time"]["servers"]),
    )


def _beside(path: Path | None, name: str | None) -> Path | None:
    if name is None:
        return None
    return (path.parent if path is not None else Path()) / name
