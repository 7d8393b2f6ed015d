"""The running lab's door for other terminals: one request and one answer on a unix socket.

    client -> {"verb": "outage", "arguments": {"seconds": 20}}
    lab    -> {"result": {"text": "..."}}    or    {"error": "one sentence for the user"}

Each is one line of JSON, LINE_BYTES_MAX at most. The socket lies in a folder that only its owner can enter.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from host_tools.errors import UserError
from host_tools.lab.folder import LabFolder

LINE_BYTES_MAX = 1 << 20
_REQUEST_TIMEOUT_S = 10.0

Handler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Serves `handle(verb, arguments)`, which returns the result or raises UserError."""

    def __init__(self, folder: LabFolder, handle: Handler) -> None:
        self._folder = folder
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Open the door. The folder must be claimed, which clears away what a killed lab has left."""
        listener = socket.socket(socket.AF_UNIX)
        with self._folder.socket_address() as address:
            listener.bind(address)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES_MAX)

    async def stop(self) -> None:
        """Close the door; requests under way are given up."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._folder.socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(await self._answer(reader)).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        try:
            line = await asyncio.wait_for(reader.readline(), _REQUEST_TIMEOUT_S)
            request = json.loads(line)
            verb, arguments = request["verb"], request["arguments"]
        except (ValueError, KeyError, TypeError):
            return {"error": "the lab did not understand the request: use the fieldpost command of this version"}
        try:
            return {"result": await self._handle(verb, arguments)}
        except UserError as error:
            return {"error": str(error)}
