"""Where a service finds config.json and identity.json, and what is wrong with them in an administrator's words."""

import json
import os

from fieldpost import config
from fieldpost.daemon.sensors import catalog
from fieldpost.errors import ConfigError
from fieldpost.limits import CONFIG_BYTES_MAX
from fieldpost.shapes import Choice, Fields, Integer, Mismatch, Optional, Text

IDENTITY_NAME = "identity.json"

_SERVICE = Fields(
    # Where the state is told to `fieldpost top`; $RUNTIME_DIRECTORY/agent.sock if it is not given.
    ("socket", Optional(Text(100, "a path"))),
    # Prometheus: on the socket as well, or on a port of 127.0.0.1.
    ("metrics", Optional(Choice("off", "socket", "port"), "off")),
    ("metrics_port", Optional(Integer(1, 65_535), 9751)),
    # What speaks MQTT: paho-mqtt, or the same code as on boards.
    ("link", Optional(Choice("paho", "umqtt"), "paho")),
)


def load(config_path, identity_path):
    """Return (config, identity), checked and complete. Raises ConfigError that names the file.

    identity_path: None for systemd's credential of that name (systemd.exec(5), LoadCredential=).
    """
    settings = check(_read(config_path), config_path)
    return settings, config.check_identity(_read(identity_path or credential_path()), settings["hub"])


def check(given, config_path):
    """Return a parsed config.json of a service with defaults filled in. Raises ConfigError for the first fault.

    Its `sensors` may be any of `daemon.sensors`, and files in `sensors/` beside config.json; its `service` is what
    only a service has.
    """
    if not isinstance(given, dict):
        raise ConfigError("%s: expected an object" % config_path)
    given = dict(given)
    sensors, service = given.pop("sensors", None), given.pop("service", {})
    # Boards know one sensor; the core checks everything else.
    settings = config.check_config(dict(given, sensors=[{"driver": "bme280"}]))
    settings["plug_ins"] = os.path.join(os.path.dirname(os.path.abspath(config_path)), "sensors")
    settings["sensors"] = catalog.check(sensors, settings["plug_ins"], settings["sample_interval_ms"])
    # The first sensor's rhythm is the one that a twin can change, and that is kept when it did.
    settings["sample_interval_ms"] = settings["sensors"][0]["interval_ms"]
    try:
        settings["service"] = _SERVICE.check(service, "service")
    except Mismatch as mismatch:
        raise ConfigError("config.json: %s" % mismatch) from None
    return settings


def credential_path():
    """Return where systemd has put the identity. Raises ConfigError outside of a service."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ConfigError("no identity: run as a systemd service with LoadCredential=, or give --identity FILE")
    return os.path.join(folder, IDENTITY_NAME)


def _read(path):
    try:
        with open(path, "rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError("%s cannot be read: %s" % (path, error.strerror)) from error
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError("%s is longer than %d bytes" % (path, CONFIG_BYTES_MAX))
    try:
        return json.loads(data.decode())
    except ValueError as error:
        # The text of the error names a place, never what stands there.
        raise ConfigError("%s is not JSON in UTF-8: %s" % (path, error)) from None
