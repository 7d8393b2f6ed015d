"""The running lab's door for other terminals: one request and one answer on a unix socket.

    client -> {"verb": "outage", "arguments": {"seconds": 20}}
    lab    -> {"result": {"text": "..."}}    or    {"error": "one sentence for the user"}

Each is one line of JSON, LINE_BYTES_MAX at most. The socket lies in a folder that only its owner can enter.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from host_tools.errors import UserError

LINE_BYTES_MAX = 1 << 20
_REQUEST_TIMEOUT_S = 10.0

Handler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Serves `handle(verb, arguments)`, which returns the result or raises UserError."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Open the door. The path must be free: claiming the lab's folder has seen to that."""
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_BYTES_MAX)

    async def stop(self) -> None:
        """Close the door; requests under way are given up."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

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
            return {
                "error": "the lab did not understand the request: use the fieldpost command of this version"
            }
        try:
            return {"result": await self._handle(verb, arguments)}
        except UserError as error:
            return {"error": str(error)}
