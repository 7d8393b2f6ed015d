"""The identity of a real device, as a file that its owner keeps: the same JSON that lies on the board."""

import json
from pathlib import Path
from typing import Any

from fieldpost.config import check_identity
from fieldpost.errors import ConfigError

from host_tools.errors import UserError


def read_identity(path: Path) -> dict[str, Any]:
    """Return device_id, key, ca_der and wifi_passwords, checked as the device itself will check them.

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
    return checked
