"""`fieldpost init`: asks the few questions and writes fieldpost.toml, and the secrets apart from it."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from host_tools.config import read_secrets, read_settings, settings_text, write_secrets
from host_tools.config.secrets import ENVIRONMENT
from host_tools.config.secrets import FILE as SECRETS_FILE
from host_tools.config.settings import FILE, LOCAL, check_host, check_interval_ms, check_network
from host_tools.errors import UserError

_GITIGNORE = ".gitignore"
_Answer = TypeVar("_Answer", str, int)


def run(
    hub: Annotated[str | None, typer.Option(help="local, or the host name of an Azure IoT hub.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="A Wi-Fi network; repeatable.")] = None,
    interval_ms: Annotated[
        int | None, typer.Option(min=50, max=86_400_000, help="Milliseconds between two readings.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a fieldpost.toml that is there.")] = False,
) -> None:
    """Write fieldpost.toml in this folder. What is not given as an option is asked for, on a terminal.

    Passwords are asked for, or come from the environment; there is no option for them.
    """
    path = Path(FILE)
    if path.exists() and not force:
        raise UserError(f"{path} is there already: change it with an editor, or replace it with --force")
    can_ask = sys.stdin.isatty()
    if hub is None:
        hub = _ask("Hub: local, or the host name of an Azure IoT hub", LOCAL, check_host) if can_ask else LOCAL
    if network is None:
        network = _ask_networks() if can_ask else []
    if interval_ms is None:
        interval_ms = _ask("Milliseconds between two readings", 1000, check_interval_ms) if can_ask else 1000
    known = read_secrets(Path())
    passwords = dict(known.wifi)
    missing = [ssid for ssid in network if ssid not in passwords]
    if can_ask:
        for ssid in missing:
            passwords[ssid] = typer.prompt(f"Password of '{ssid}'", hide_input=True)
    written = settings_text(None if hub == LOCAL else hub, network, interval_ms)
    _write_checked(path, written)
    if passwords and not os.environ.get(ENVIRONMENT):
        print(f"{write_secrets(Path(), replace(known, wifi=passwords))}: passwords, for you alone")
        _keep_out_of_git()
    print(f"{path}: change it as you like; it is checked whenever it is used")
    for ssid in [] if can_ask else missing:
        print(f"network '{ssid}' has no password yet: write it into {SECRETS_FILE} or {ENVIRONMENT}", file=sys.stderr)


def _ask(question: str, default: _Answer, check: Callable[[_Answer, str], _Answer]) -> _Answer:
    """Ask until what is answered is right: a slip costs none of the other answers."""
    while True:
        answer = typer.prompt(question, default=default, type=type(default), show_default=default != "")
        try:
            return check(answer, "this")
        except UserError as error:
            print(f"fieldpost: {error}", file=sys.stderr)


def _ask_networks() -> list[str]:
    networks: list[str] = []
    while ssid := _ask("Wi-Fi network (empty to end)", "", lambda name, where: name and check_network(name, where)):
        networks.append(ssid)
    return networks


def _write_checked(path: Path, text: str) -> None:
    """Write the file once what stands in it has been found to be right."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        read_settings(partial)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    except UserError as error:
        raise UserError(str(error).replace(partial.name, path.name)) from None
    finally:
        partial.unlink(missing_ok=True)


def _keep_out_of_git() -> None:
    ignore = Path(_GITIGNORE)
    if not Path(".git").exists():
        return
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    if SECRETS_FILE not in lines:
        ignore.write_text("\n".join([*lines, SECRETS_FILE, ""]), encoding="utf-8")
        print(f"{ignore}: names {SECRETS_FILE}, so that git leaves it alone")
