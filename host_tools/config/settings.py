"""fieldpost.toml: what may stand in it and what it means. Nothing in it is secret."""

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldpost.config import batch_fields, check_address, check_topic, command_fields, link_fields
from fieldpost.errors import Mismatch
from fieldpost.shapes import Choice, Fields, Integer, ListOf, MapOf, Optional, Text, mismatch

from host_tools.config.toml_file import read_toml
from host_tools.errors import UserError

FILE = "fieldpost.toml"
LOCAL = "local"
AZURE = "azure"
PLAIN = "plain"
TCP = "tcp"
WEBSOCKETS = "websockets"

# RFC 1035 section 2.3.4; the underscore is for names that only a local network knows.
_HOST = Text(253, "a host name (no scheme, no port)", (string.ascii_letters + string.digits + "-._").encode())
_NTP_HOSTS = ("pool.ntp.org", "time.cloudflare.com", "time.windows.com")
_PORT = Integer(1, 65535)
_SERVICE = "global.azure-devices-provisioning.net"  # Azure's Device Provisioning Service, wherever the hub is
TOPICS = ("telemetry", "commands", "status")
_INTERVAL_MS = Integer(50, 86_400_000, "milliseconds")
_NETWORK = Text(32, "a network name")
_IPV4 = Text(15, "an IPv4 address", b"0123456789.")
_ADDRESS = Fields(
    ("address", _IPV4),
    ("netmask", Optional(_IPV4, "255.255.255.0")),
    ("gateway", _IPV4),
    ("dns", Optional(_IPV4)),
)


class _Gpio:
    """A pin by its number, or the light on the board."""

    expected = 'the number of a GPIO, 0 to 63, or "LED"'

    def check(self, value: object, where: str) -> object:
        if value == "LED" or (type(value) is int and 0 <= value <= 63):
            return value
        raise mismatch(where, value, self.expected)


_SHAPE = Fields(
    (
        "hub",
        Fields(
            ("kind", Choice(LOCAL, AZURE, PLAIN)),
            ("host", Optional(_HOST)),
            ("port", Optional(_PORT)),  # what is usual for the transport
            ("transport", Optional(Choice(TCP, WEBSOCKETS), TCP)),
            ("tls", Optional(Choice(True, False), True)),
            ("roll_roots", Optional(Choice(True, False), False)),
            ("topics", Optional(Fields(*[(name, Optional(Text(200, "a topic"))) for name in TOPICS]))),
            ("root_certificate", Optional(Text(255, "the path of a PEM file"))),
            ("data", Optional(Text(255, "the path of a folder"))),
        ),
    ),
    (
        "provisioning",
        Optional(
            Fields(
                ("id_scope", Optional(Text(32, "an ID scope, such as 0ne00000000"))),
                ("host", Optional(_HOST)),
                ("port", Optional(_PORT, 8883)),
            ),
            {},
        ),
    ),
    (
        "readings",
        Optional(
            Fields(
                ("interval_ms", Optional(_INTERVAL_MS, 1000)),
            ),
            {},
        ),
    ),
    ("messages", Optional(Fields(*batch_fields()), {})),
    ("link", Optional(Fields(*link_fields()), {})),
    ("commands", Optional(Fields(*command_fields()), {})),
    (
        "wifi",
        Optional(
            Fields(
                ("networks", Optional(ListOf(_NETWORK, 8), ())),
                ("addresses", Optional(MapOf(_NETWORK, _ADDRESS, 8), {})),
            ),
            {},
        ),
    ),
    (
        "status_led",
        Optional(Fields(("gpio", _Gpio()), ("inverted", Optional(Choice(True, False), False)))),
    ),
    ("time", Optional(Fields(("servers", Optional(ListOf(_HOST, 4, 1), _NTP_HOSTS))), {})),
)


@dataclass(frozen=True)
class Settings:
    """What fieldpost.toml says. path: where it lies; None if there is none and the defaults hold.

    hub_host: of an Azure hub or a plain broker, or of the service that assigns hubs where none is named; None for the
    local one, whose folder is hub_data (None: its usual place). addresses: by network, where they are static. topics:
    of a plain broker, where they are not the usual ones. messages, link, commands: keys of a device's `batch`, of its
    config.json itself, and of its `commands`, where they are not the usual ones. id_scope: of the Device Provisioning
    Service that assigns devices to their hub; None if they are told it. provisioning_host: None for Azure's. names_hub:
    whether the hub itself is named.
    """

    path: Path | None
    kind: str
    hub_host: str | None
    hub_port: int
    transport: str
    has_tls: bool
    roll_roots: bool
    topics: dict[str, str]
    hub_data: Path | None
    root_certificate: Path | None
    id_scope: str | None
    provisioning_host: str | None
    provisioning_port: int
    interval_ms: int
    messages: dict[str, Any]
    link: dict[str, Any]
    commands: dict[str, Any]
    networks: tuple[str, ...]
    addresses: dict[str, dict[str, str]]
    status_led: dict[str, Any] | None
    time_servers: tuple[str, ...]
    names_hub: bool = True

    @property
    def first_server(self) -> tuple[str, int] | None:
        """Host and port to which a device turns first; None for the local hub's."""
        if self.hub_host is None:
            return None
        if self.id_scope is None:
            return self.hub_host, self.hub_port
        return self.provisioning_host or _SERVICE, self.provisioning_port

    @property
    def is_local(self) -> bool:
        """Whether `fieldpost hub run` is meant."""
        return self.kind == LOCAL

    def hub_settings(self) -> dict[str, Any]:
        """Return what a device's `hub` holds beside host and port."""
        way: dict[str, Any] = {"transport": WEBSOCKETS} if self.transport == WEBSOCKETS else {}
        if self.roll_roots:
            way["roll_roots"] = True
        if self.kind == PLAIN:
            return {
                "dialect": PLAIN,
                "tls": self.has_tls,
                "topics": self.topics,
                "twin": False,
                "methods": False,
                **way,
            }
        if self.id_scope is None:
            return way
        where = {"host": self.provisioning_host, "port": self.provisioning_port} if self.provisioning_host else {}
        return {"provisioning": {"id_scope": self.id_scope, **where}, **way}

    def device_settings(self) -> dict[str, Any]:
        """Return the part of a device's config.json that these settings decide."""
        return {
            "sample_interval_ms": self.interval_ms,
            **self.link,
            **({"batch": self.messages} if self.messages else {}),
            **({"commands": self.commands} if self.commands else {}),
            "wifi": [{"ssid": ssid, **self.addresses.get(ssid, {})} for ssid in self.networks],
            "ntp_hosts": list(self.time_servers),
            **({} if self.status_led is None else {"status_led": self.status_led}),
        }


def check_host(text: str, where: str) -> str:
    """Return a host name that was given in another place than the file. UserError if it is none."""
    return str(_checked(_HOST, text, where))


def check_network(text: str, where: str) -> str:
    """The same with the name of a Wi-Fi network."""
    return str(_checked(_NETWORK, text, where))


def check_interval_ms(number: int, where: str) -> int:
    """The same with the time between two readings."""
    return int(_checked(_INTERVAL_MS, number, where))


def _checked(shape: Any, value: object, where: str) -> Any:
    try:
        return shape.check(value, where)
    except Mismatch as error:
        raise UserError(str(error)) from None


def read_settings(path: Path | None = None) -> Settings:
    """Return what `path` says; without one, fieldpost.toml in this folder, or the defaults if that is absent.

    Paths in the file are relative to it. UserError names file, line, key and what is expected.
    """
    given = path or Path(FILE)
    if path is None and not given.exists():
        return _settings(None, _SHAPE.check({"hub": {"kind": LOCAL}}, ""))
    return _settings(given, read_toml(given, _SHAPE, _check_hub))


def _check_hub(values: dict[str, Any]) -> None:
    is_assigned = values["hub"]["kind"] == AZURE and values["provisioning"]["id_scope"] is not None
    if values["hub"]["kind"] != LOCAL and values["hub"]["host"] is None and not is_assigned:
        raise Mismatch(
            "hub.host is missing: expected the hub's host name, such as NAME.azure-devices.net, or for Azure "
            "provisioning.id_scope of the service that assigns it"
        )
    for ssid, found in values["wifi"]["addresses"].items():
        if ssid not in values["wifi"]["networks"]:
            raise Mismatch(f"wifi.addresses.{ssid} is for no network: expected one of wifi.networks")
        for key, text in found.items():
            if text is not None:
                check_address(text, f"wifi.addresses.{ssid}.{key}")
    for key, topic in (values["hub"]["topics"] or {}).items():
        if topic is not None:
            check_topic(topic, f"hub.topics.{key}")
    if values["hub"]["kind"] != PLAIN:
        if not values["hub"]["tls"]:
            raise Mismatch("hub.tls is false: expected true, for only kind plain may go without")
        if values["hub"]["topics"] is not None:
            raise Mismatch("hub.topics is for kind plain: other hubs name their topics themselves")
    elif values["provisioning"]["id_scope"] is not None:
        raise Mismatch("provisioning.id_scope is for Azure and the local hub: a plain broker assigns nobody")


def _settings(path: Path | None, values: dict[str, Any]) -> Settings:
    hub, provisioning = values["hub"], values["provisioning"]
    return Settings(
        path=path,
        kind=hub["kind"],
        hub_host=None if hub["kind"] == LOCAL else hub["host"] or provisioning["host"] or _SERVICE,
        hub_port=hub["port"] or (443 if hub["transport"] == WEBSOCKETS else 8883),
        transport=hub["transport"],
        has_tls=hub["tls"],
        roll_roots=hub["roll_roots"],
        topics={key: topic for key, topic in (hub["topics"] or {}).items() if topic is not None},
        hub_data=_beside(path, hub["data"]),
        root_certificate=_beside(path, hub["root_certificate"]),
        id_scope=provisioning["id_scope"],
        provisioning_host=provisioning["host"],
        provisioning_port=provisioning["port"],
        interval_ms=values["readings"]["interval_ms"],
        messages=_chosen(values["messages"], batch_fields()),
        link=_chosen(values["link"], link_fields()),
        commands=_chosen(values["commands"], command_fields()),
        networks=tuple(values["wifi"]["networks"]),
        addresses={
            ssid: {key: text for key, text in found.items() if text is not None}
            for ssid, found in values["wifi"]["addresses"].items()
        },
        status_led=values["status_led"],
        time_servers=tuple(values["time"]["servers"]),
        names_hub=hub["host"] is not None,
    )


def _chosen(values: dict[str, Any], fields: Any) -> dict[str, Any]:
    """Return what differs from what a device takes by itself: a long configuration takes memory while it is read."""
    return {key: values[key] for key, shape in fields if values[key] != shape.default}


def _beside(path: Path | None, name: str | None) -> Path | None:
    if name is None:
        return None
    return (path.parent if path is not None else Path()) / name
