"""Passwords and keys: in a file of mode 0600 beside fieldpost.toml, or in the environment; never anywhere else."""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldpost.shapes import Base64, Fields, MapOf, Optional, Text

from host_tools.config.toml_file import read_toml
from host_tools.errors import UserError

FILE = "fieldpost.secrets.toml"
ENVIRONMENT = "FIELDPOST_WIFI_PASSWORDS"  # a JSON object, network to password

_HEAD = """\
# Passwords for the devices that fieldpost flashes. Keep this file to yourself: mode 0600, in no repository.
"""
_NETWORK = Text(32, "a network name")
_SHAPE = Fields(
    ("wifi", Optional(MapOf(_NETWORK, Text(64, "a password", secret=True), 8), {})),
    (
        "broker",
        Optional(
            Fields(
                ("username", Optional(Text(128, "a user name"))),
                ("password", Text(256, "a password", secret=True)),
            )
        ),
    ),
    ("commands", Optional(Fields(("key", Base64(16, 64, "the key that signs commands"))))),
)


@dataclass(frozen=True, repr=False)
class Secrets:
    """wifi: network to password. broker: (user name, password) at a plain broker; the user name may be None.
    command_key: signs the commands in commands.signed, base64; None if there is none.

    Its text form says nothing.
    """

    wifi: Mapping[str, str]
    broker: tuple[str | None, str] | None = None
    command_key: str | None = None

    def for_broker(self, device: str) -> dict[str, str]:
        """Return what a device proves itself by at a plain broker, for its identity; the user is the device itself."""
        if self.broker is None:
            return {}
        username, password = self.broker
        return {"username": username or device, "password": password}

    def for_commands(self, signed: Iterable[str] | None) -> dict[str, str]:
        """Return the key that signs commands, for an identity. UserError if it is needed and not here."""
        if self.command_key is not None:
            return {"command_key": self.command_key}
        if signed:
            raise UserError(
                f"commands.signed wants signatures, and there is no key for them: write one into {FILE} (mode 0600) "
                'under [commands], as key = "BASE64" of 16 to 64 random bytes'
            )
        return {}

    def for_networks(self, networks: Iterable[str]) -> dict[str, str]:
        """Return the passwords of `networks`. UserError names one that has none."""
        for ssid in networks:
            if ssid not in self.wifi:
                raise UserError(
                    f"network '{ssid}' has no password: write it into {FILE} (mode 0600) under [wifi], or into "
                    f"{ENVIRONMENT} as JSON; `fieldpost init` asks for it"
                )
        return {ssid: self.wifi[ssid] for ssid in networks}


def read_secrets(folder: Path) -> Secrets:
    """Return the secrets of the fieldpost.toml in `folder`; the environment's come first.

    UserError if the file may be read by others, or is wrong; never with what stands in it.
    """
    found: dict[str, str] = {}
    broker = command_key = None
    path = folder / FILE
    if path.exists():
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"{path} may be read by others: run `chmod 600 {path}`")
        values = read_toml(path, _SHAPE)
        found |= values["wifi"]
        if values["broker"] is not None:
            broker = values["broker"]["username"], values["broker"]["password"]
        if values["commands"] is not None:
            command_key = values["commands"]["key"]
    if os.environ.get(ENVIRONMENT):
        try:
            given = json.loads(os.environ[ENVIRONMENT])
            if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
                raise ValueError
        except ValueError:
            raise UserError(
                f'{ENVIRONMENT} is no JSON object of texts: write it like {{"network": "password"}}'
            ) from None
        found |= given
    return Secrets(found, broker, command_key)


def write_secrets(folder: Path, secrets: Secrets) -> Path:
    """Write the secrets' file, for this user alone. UserError if that cannot be done."""
    path = folder / FILE
    rows = "".join(f"{_quoted(ssid)} = {_quoted(word)}\n" for ssid, word in secrets.wifi.items())
    if secrets.broker is not None:
        username, password = secrets.broker
        rows += "\n[broker]\n" + (f"username = {_quoted(username)}\n" if username else "")
        rows += f"password = {_quoted(password)}\n"
    if secrets.command_key is not None:
        rows += f"\n[commands]\nkey = {_quoted(secrets.command_key)}\n"
    write_private(path, f"{_HEAD}\n[wifi]\n{rows}")
    return path


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only this user can read; it is whole or the old one. UserError if it cannot."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _quoted(text: str) -> str:
    # What JSON escapes, TOML escapes in the same way; DEL must be, and JSON does not. TOML knows no pairs of escapes.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
