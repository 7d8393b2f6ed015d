"""`fieldpost top`: the state of the local service, live."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from host_tools.errors import UserError

SOCKET = Path("/run/fieldpost/agent.sock")
_TIMEOUT_S = 5
_ANSWER_BYTES_MAX = 1 << 20
_STYLES = {"": "", "head": "\x1b[1m", "trouble": "\x1b[31m"}

Line = tuple[str, str]


def fetch(path: Path) -> dict[str, Any]:
    """Return the service's state. UserError if it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(b"GET /status HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
                if len(answer) > _ANSWER_BYTES_MAX:
                    break
        found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return found
    except PermissionError as error:
        raise UserError(f"{path} is for root and the group fieldpost: run this with sudo") from error
    except OSError as error:
        raise UserError(
            f"no service answers at {path} ({error.strerror or error}): `fieldpost service status` tells how it is"
        ) from error
    except ValueError as error:
        raise UserError(f"what answers at {path} is no fieldpost service") from error


def run(path: Path, as_json: bool, interval_s: float = 1.0) -> int:
    """Show the state until Ctrl-C on a terminal, once elsewhere; as JSON once.

    A service that restarts meanwhile is waited for.
    """
    found: dict[str, Any] | None = fetch(path)
    if as_json or not sys.stdout.isatty():
        print(json.dumps(found) if as_json else "\n".join(text for _, text in screen(found or {})))
        return 0
    lines: list[Line] = []
    trouble = ""
    previous: dict[str, Any] | None = None
    try:
        while True:
            width = shutil.get_terminal_size().columns
            lines = screen(found, previous, interval_s, width) if found else [*lines[:1], *_trouble(trouble, "", width)]
            # Home, each line to its end, then whatever is left below: no flicker.
            shown = [f"{_STYLES[style]}{text[:width]}\x1b[0m\x1b[K" for style, text in lines]
            sys.stdout.write("\x1b[H" + "\n".join(shown) + "\x1b[J\n")
            sys.stdout.flush()
            time.sleep(interval_s)
            previous = found
            try:
                found = fetch(path)
            except UserError as error:
                found, trouble = None, str(error)
    except KeyboardInterrupt:
        return 0


def screen(
    found: dict[str, Any], previous: dict[str, Any] | None = None, interval_s: float = 1.0, width: int = 100
) -> list[Line]:
    """Return (style, text) of the lines that show a state. previous: the state `interval_s` before, for rates."""
    rate = "" if previous is None else f", {(found['confirmed'] - previous['confirmed']) / interval_s:.1f}/s"
    hub = found["state"] + (f": {found['error']}" if found["error"] else "")
    is_well = found["state"] == "ready"
    is_whole = not found["lost"] and not found["damaged"]
    lost = f"{found['lost']} lost" + (f", {found['damaged']} damaged" if found["damaged"] else "")
    lines: list[Line] = [
        (
            "head",
            f"fieldpost {found['version']}   {found['device']} -> {found['hub']}   up {_span(found['uptime_s'])}   "
            f"boot {found['boot']}",
        ),
        *([("", f"hub       {hub}")] if is_well else _trouble(f"hub       {hub}", " " * 10, width)),
        (
            "",
            f"queue     {found['pending']} wait, {found['pending_urgent']} urgent; room for {_room(found)}; "
            f"next {found['next_number']}",
        ),
        (
            "" if is_whole else "trouble",
            f"sent      {found['confirmed']} confirmed{rate}; {lost}",
        ),
        (
            "",
            f"commands  {found['commands_done']} done, {found['commands_refused']} refused, "
            f"{found['commands_failed']} failed",
        ),
        ("", ""),
        ("head", f"{'sensor':<16}{'every':>7}  newest reading"),
    ]
    indent = " " * 25
    for sensor in found["sensors"]:
        values = "   ".join(_value(name, value, sensor["units"][name]) for name, value in sensor["values"].items())
        lines.append(("", f"{sensor['name']:<16}{sensor['interval_ms'] / 1000:>6g}s  {values or '-'}"))
        if sensor["error"]:
            lines += _trouble(f"{indent}{sensor['failures']} failures: {sensor['error']}", indent, width)
    return lines


def _trouble(text: str, indent: str, width: int) -> list[Line]:
    """Return a sentence in as many lines as it takes: what to do stands at its end."""
    return [("trouble", line) for line in textwrap.wrap(text, max(width, 40), subsequent_indent=indent)]


def _room(found: dict[str, Any]) -> str:
    if not found["sensors"]:
        return f"{found['capacity']} readings"
    hours = found["capacity"] * found["sensors"][0]["interval_ms"] / 3_600_000
    return f"{found['capacity']} readings ({hours:.3g} h of {found['sensors'][0]['name']})"


def _value(name: str, value: float, unit: str) -> str:
    if unit == "KiB" and value >= 1 << 20:
        return f"{name} {value / (1 << 20):.1f} GiB"
    return f"{name} {value}" + ("" if unit == "1" else f" {unit}")


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock
