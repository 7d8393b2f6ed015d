"""Asks a running lab for something, from another terminal."""

import json
import socket
from typing import Any

from host_tools.errors import UserError
from host_tools.lab.control import LINE_BYTES_MAX
from host_tools.lab.folder import LabFolder, lab_names

ANSWER_TIMEOUT_S = 30.0


def ask(folder: LabFolder, verb: str, arguments: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
    """Return the lab's result. Raises UserError if it is not running, refuses, or does not answer in time."""
    connection = _connect(folder)
    if connection is None:
        raise UserError(_not_running(folder))
    with connection:
        connection.settimeout(timeout_s)
        try:
            connection.sendall(json.dumps({"verb": verb, "arguments": arguments}).encode() + b"\n")
            line = _line(connection)
        except TimeoutError:
            raise UserError(
                f"the lab of '{folder.name}' did not answer in {timeout_s:g} s: look at its terminal"
            ) from None
        except OSError as error:
            raise UserError(f"the lab of '{folder.name}' went away: {error.strerror}") from error
    if not line:
        raise UserError(f"the lab of '{folder.name}' ended before it answered: look at its terminal")
    answer = json.loads(line)
    if "error" in answer:
        raise UserError(answer["error"])
    result: dict[str, Any] = answer["result"]
    return result


def is_running(folder: LabFolder) -> bool:
    """Return whether a lab listens there."""
    connection = _connect(folder)
    if connection is None:
        return False
    connection.close()
    return True


def _connect(folder: LabFolder) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with folder.socket_address() as address:
            connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


def _line(connection: socket.socket) -> bytes:
    """Return everything up to the end of the line or of the connection."""
    received = bytearray()
    while not received.endswith(b"\n") and len(received) <= LINE_BYTES_MAX:
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return bytes(received)


def _not_running(folder: LabFolder) -> str:
    others = [name for name in lab_names() if name != folder.name and is_running(LabFolder(name))]
    if others:
        return f"board '{folder.name}' is not running; running: {', '.join(others)}"
    return f"board '{folder.name}' is not running: start it with ./flash.sh emulator"
