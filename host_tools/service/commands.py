"""What `fieldpost service` does on the machine that the agent runs on; each function returns the exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from host_tools.errors import UserError
from host_tools.queue.capacity import hours_of
from host_tools.service import configure

UNIT = "fieldpost.service"
_INSTALLED_UNIT = Path("/usr/lib/systemd/system") / UNIT
_SHOWN = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "StatusText", "MainPID", "NRestarts", "Result",
    "ActiveEnterTimestamp", "MemoryCurrent", "ConditionResult",
)  # fmt: skip


def install(package: Path) -> int:
    """Install or upgrade from a package file; apt fetches what it depends on."""
    if not package.is_file():
        raise UserError(f"{package} is not there: build it with `fieldpost service build-deb`")
    _need_root()
    # apt takes a path for a package file only if it looks like one.
    return _call(["apt-get", "install", "-y", "--allow-downgrades", str(package.resolve())])


def set_up(wanted: configure.Wanted, start: bool = True) -> int:
    """Write the configuration, or change what is wanted of it, and start the service or start it anew."""
    found = configure.read_configuration(configure.FOLDER)
    identity = configure.read_identity(wanted.identity or configure.FOLDER / configure.IDENTITY)
    # A hub allows more characters in an id than config.json does in a name.
    device = re.sub(r"[^a-z0-9_-]", "-", identity["device_id"].lower())[:64]
    config = configure.configuration(wanted, device, found)
    configure.fits(identity, config)
    configure.write(config, identity, configure.FOLDER)
    ring, interval_s = config["ring"], configure.interval_s(config)
    hours = hours_of(ring["sectors"] - configure.aside(config), interval_s)
    kib = ring["sectors"] * 4
    print(f"{configure.FOLDER}: {hours:.3g} h of a reading every {interval_s:g} s in {kib} KiB of {ring['path']}")
    if not start:
        return 0
    _need_systemd()
    if not _INSTALLED_UNIT.exists():
        raise UserError(f"{UNIT} is not installed: run `fieldpost service install` first")
    return _call(["systemctl", "enable", UNIT]) or _call(["systemctl", "restart", UNIT])


def status(as_json: bool) -> int:
    """Print how the service is; 0 if it runs, 3 if not (as systemctl does)."""
    _need_systemd()
    shown = _ask(["systemctl", "show", UNIT, "--property=" + ",".join(_SHOWN)])
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if as_json:
        print(json.dumps(found))
    elif found["LoadState"] == "not-found":
        print("fieldpost is not installed: run `fieldpost service install`")
    else:
        print(f"{found['ActiveState']} ({found['SubState']}), {found['UnitFileState']}: {found['StatusText']}")
        print(f"since {found['ActiveEnterTimestamp'] or 'never'}, {found['NRestarts']} restarts, {found['Result']}")
        if found["ActiveState"] != "active":
            print(_why_not(found))
    return 0 if found["ActiveState"] == "active" else 3


def logs(follow: bool, lines: int, priority: str | None, as_json: bool) -> int:
    """Show the service's lines from the journal."""
    _need_systemd()
    command = ["journalctl", "--unit", UNIT, "--lines", str(lines), "--no-pager"]
    command += ["--follow"] if follow else []
    command += ["--priority", priority] if priority else []
    command += ["--output", "json" if as_json else "short-iso"]
    return _call(command)


def check_can_install(identity: Path | None) -> None:
    """Raise UserError if an installation would come to nothing: before anything is built or installed."""
    _need_root()
    _need_systemd()
    configure.read_identity(identity or configure.FOLDER / configure.IDENTITY)


def remove(purge: bool) -> int:
    """Take the package away; the readings and the configuration stay unless purged."""
    _need_root()
    if not _is_known_to_dpkg():
        raise UserError("fieldpost is not installed on this machine: there is nothing to remove")
    return _call(["apt-get", "purge" if purge else "remove", "-y", "fieldpost"])


def _why_not(found: dict[str, str]) -> str:
    for name in (configure.CONFIG, configure.IDENTITY):
        if not (configure.FOLDER / name).exists():
            return f"{configure.FOLDER / name} is missing: run `sudo fieldpost service configure`"
    if found["Result"] == "exit-code":
        return "it ended with an error: `fieldpost service logs` tells which"
    return "start it with `sudo systemctl start fieldpost`"


def _need_root() -> None:
    if os.geteuid() != 0:
        raise UserError("this changes the system: run it with sudo")


def _need_systemd() -> None:
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        raise UserError("systemd does not run here: this is for the machine that the agent runs on")


def _is_known_to_dpkg() -> bool:
    """Whether the package is installed, or its configuration is still there; True if dpkg cannot be asked."""
    try:
        return subprocess.run(["dpkg", "--status", "fieldpost"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return True  # apt-get will say what is missing


def _call(command: list[str]) -> int:
    """Run a command in full view; return its exit code."""
    try:
        return subprocess.run(command, check=False).returncode
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not here: this is for Debian, Ubuntu and Raspberry Pi OS") from error
    except KeyboardInterrupt:
        return 0  # the end of `logs --follow`


def _ask(command: list[str]) -> str:
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    if found.returncode != 0:
        raise UserError(f"{' '.join(command[:2])} failed: {found.stderr.strip()}")
    return found.stdout
