"""The identity of a real device, as a file that its owner keeps: the same JSON that lies on the board."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldpost.config import check_config, check_identity
from fieldpost.errors import ConfigError

from host_tools.errors import UserError
from host_tools.provision.device_identity import check_pair


def read_identity(path: Path) -> dict[str, Any]:
    """Return device_id, key or certificate and private_key, ca_der and wifi_passwords, checked as the device will.

    UserError names the key that is wrong, never its value.
    """
    try:
        checked: dict[str, Any] = check_identity(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"cannot read the identity {path}: {error.strerror}") from error
    except ValueError:
        raise UserError(f"{path} is not JSON: it needs device_id, key, ca_der and wifi_passwords") from None
    except ConfigError as error:
        raise UserError(f"{path} is no identity: {error}") from None
    if checked["certificate"] is not None:
        try:
            check_pair(base64.b64decode(checked["certificate"]), base64.b64decode(checked["private_key"]))
        except ValueError as error:
            raise UserError(f"{path} is no identity: certificate and private_key do not serve: {error}") from None
    return {key: value for key, value in checked.items() if value is not None}


def check_fits(identity: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise UserError if a device with this identity could not use this configuration."""
    try:
        check_identity(dict(identity), check_config(dict(config))["hub"])
    except ConfigError as error:
        raise UserError(str(error)) from None
