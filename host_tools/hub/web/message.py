"""HTTP/1.1 messages, server side (RFC 9112): bytes in, requests out, and responses back; not one socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from host_tools.hub import strict_json

HEAD_BYTES_MAX: Final = 32 * 1024
BODY_BYTES_MAX: Final = 4 * 1024 * 1024
# Of a request without a good token, which is refused when it is whole: a stranger shall not make the hub keep much.
STRANGERS_BODY_BYTES_MAX: Final = 64 * 1024


class HttpError(Exception):
    """The request cannot be answered as it is; `status` is what the peer is told before the connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Request:
    """path: decoded segments, without query; headers: names in lower case, of repeated ones the last."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    keeps_alive: bool = True

    def json(self) -> Any:
        """Return the body; HttpError 400 if it is no JSON."""
        try:
            return strict_json.loads(self.body)
        except ValueError as error:
            raise HttpError(400, f"the body is no JSON: {error}") from error


@dataclass(slots=True)
class Response:
    """One response; its length is added when it is written."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> Response:
        """A response with a JSON body."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **headers})

    def as_bytes(self, keeps_alive: bool) -> bytes:
        """What goes over the wire."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        headers = dict(self.headers)
        has_body = self.status not in (101, 204)  # those two are not even to say how long it is (RFC 9110 8.6)
        if has_body:
            headers["Content-Length"] = str(len(self.body))
        headers.setdefault("Connection", "keep-alive" if keeps_alive else "close")
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("latin-1", "replace") + (self.body if has_body else b"")


class Decoder:
    """Takes bytes as they come and gives whole requests; bounded by HEAD_BYTES_MAX and BODY_BYTES_MAX.

    is_known: whether a request, of which there is only the head, comes from somebody who may send a long body.
    """

    def __init__(self, is_known: Callable[[Request], bool] = lambda _: True) -> None:
        self._is_known = is_known
        self._buffer = bytearray()
        self._head: Request | None = None
        self._body_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes; `requests` gives what they complete."""
        self._buffer += data

    @property
    def held_bytes(self) -> int:
        """How much it keeps."""
        return len(self._buffer)

    def rest(self) -> bytes:
        """Return what came behind the last request: another protocol's, after an upgrade."""
        return bytes(self._buffer)

    def requests(self) -> Iterator[Request]:
        """Yield every whole request, in order; raises HttpError when it comes to what is none."""
        while True:
            if self._head is None:
                end = self._buffer.find(b"\r\n\r\n")
                if end > HEAD_BYTES_MAX or (end < 0 and len(self._buffer) > HEAD_BYTES_MAX):
                    raise HttpError(431, f"more than {HEAD_BYTES_MAX} bytes of header fields")
                if end < 0:
                    return
                self._head, self._body_bytes = _head(bytes(self._buffer[:end]))
                del self._buffer[: end + 4]
                if self._body_bytes > STRANGERS_BODY_BYTES_MAX and not self._is_known(self._head):
                    raise HttpError(401, f"a body of {self._body_bytes} bytes without a good token")
            if len(self._buffer) < self._body_bytes:
                return
            request, self._head = self._head, None
            request.body = bytes(self._buffer[: self._body_bytes])
            del self._buffer[: self._body_bytes]
            yield request


def _head(data: bytes) -> tuple[Request, int]:
    """Return a request without its body, and how long that is."""
    first, *lines = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise HttpError(400, "not a request line of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HttpError(400, "malformed header field")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise HttpError(411, "send a Content-Length instead of Transfer-Encoding")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > 12:
        raise HttpError(400, "malformed Content-Length")
    if int(length) > BODY_BYTES_MAX:
        raise HttpError(413, f"body of {length} bytes, limit {BODY_BYTES_MAX}")
    path, _, query = words[1].partition("?")
    if "://" in path:  # absolute form (RFC 9112 section 3.2.2)
        path = "/" + path.partition("://")[2].partition("/")[2]
    segments = tuple(unquote(segment) for segment in path.split("/") if segment)
    try:
        parameters = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise HttpError(400, "too many query parameters") from error
    keeps_alive = headers.get("connection", "").lower() != "close" and words[2] != "HTTP/1.0"
    return Request(words[0], segments, parameters, headers, b"", keeps_alive), int(length)
