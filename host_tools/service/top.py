"""`fieldpost top`: the state of the local service, live."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from host_tools.errors import UserError

SOCKET = Path("/run/fieldpost/agent.sock")
_TIMEOUT_S = 5
_ANSWER_BYTES_MAX = 1 << 20


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
    """Show the state until Ctrl-C on a terminal, once elsewhere; as JSON once."""
    found = fetch(path)
    if as_json or not sys.stdout.isatty():
        print(json.dumps(found) if as_json else "\n".join(screen(found)))
        return 0
    try:
        previous = None
        while True:
            width = shutil.get_terminal_size().columns
            # Home, each line to its end, then whatever is left below: no flicker.
            lines = [line[:width] + "\x1b[K" for line in screen(found, previous, interval_s)]
            sys.stdout.write("\x1b[H" + "\n".join(lines) + "\x1b[J\n")
            sys.stdout.flush()
            time.sleep(interval_s)
            previous, found = found, fetch(path)
    except KeyboardInterrupt:
        return 0


def screen(found: dict[str, Any], previous: dict[str, Any] | None = None, interval_s: float = 1.0) -> list[str]:
    """Return the lines that show a state. previous: the state `interval_s` before, for rates."""
    rate = "" if previous is None else f", {(found['confirmed'] - previous['confirmed']) / interval_s:.1f}/s"
    lines = [
        f"fieldpost {found['version']}  {found['device']} -> {found['hub']}  up {_span(found['uptime_s'])}, "
        f"boot {found['boot']}",
        f"hub      {found['state']}" + (f": {found['error']}" if found["error"] else ""),
        f"queue    {found['pending']} wait, {found['pending_urgent']} urgent; {found['confirmed']} confirmed{rate}; "
        f"{found['lost']} lost; next {found['next_number']}",
        f"commands {found['commands_done']} done, {found['commands_refused']} refused, "
        f"{found['commands_failed']} failed",
        "",
    ]
    for sensor in found["sensors"]:
        values = "  ".join(f"{name} {value:g} {sensor['units'][name]}" for name, value in sensor["values"].items())
        trouble = f"  ! {sensor['error']}" if sensor["error"] else ""
        failures = f"  ({sensor['failures']} failures)" if sensor["failures"] else ""
        lines.append(f"{sensor['name']:<14} {values or '-'}{failures}{trouble}")
    return lines


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock
