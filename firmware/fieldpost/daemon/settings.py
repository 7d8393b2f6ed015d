"""Where a service finds config.json and identity.json, and what is wrong with them in an administrator's words."""

import json
import os

from fieldpost import config
from fieldpost.errors import ConfigError
from fieldpost.limits import CONFIG_BYTES_MAX

IDENTITY_NAME = "identity.json"


def load(config_path, identity_path):
    """Return (config, identity), checked and complete. Raises ConfigError that names the file.

    identity_path: None for systemd's credential of that name (systemd.exec(5), LoadCredential=).
    """
    settings = config.check_config(_read(config_path))
    return settings, config.check_identity(_read(identity_path or credential_path()))


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
