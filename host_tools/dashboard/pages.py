"""The page's files and its questions, for host_tools/hub/service/admin.py.

The page is written by hand, needs nothing from elsewhere, and shows what devices say as text only. Its headers hold
the browser to that: no script and no style but its own files, no HTML out of strings (Trusted Types), in no frame.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from host_tools.dashboard.views import Views
from host_tools.hub import Hub
from host_tools.hub.web.message import HttpError, Request, Response

_FOLDER: Final = Path(__file__).parent / "static"
_FILES: Final = {
    (): ("index.html", "text/html; charset=utf-8"),
    ("page.js",): ("page.js", "text/javascript; charset=utf-8"),
    ("charts.js",): ("charts.js", "text/javascript; charset=utf-8"),
    ("page.css",): ("page.css", "text/css; charset=utf-8"),
    ("icon.svg",): ("icon.svg", "image/svg+xml"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# MDN, "HTTP headers" says what each keeps others from.
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}


class Pages:
    """The page of a hub. Nothing is read, and no thread runs, before somebody looks."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._views: Views | None = None

    def file(self, request: Request) -> Response | None:
        """Return one of the page's files, None if the request is not for one."""
        if request.method != "GET" or request.path not in _FILES:
            return None
        name, kind = _FILES[request.path]
        return Response(200, _content(name), {"Content-Type": kind, **_HEADERS})

    async def view(self, request: Request) -> Response:
        """Answer a question of the page; the path is what comes behind /view."""
        if self._views is None:
            self._views = Views(self._hub)
        match request.path:
            case ("devices",):
                return Response.of_json(
                    await self._views.devices(request.query.get("find", ""), _number(request, "from"))
                )
            case ("devices", device_id):
                after, twin = _number(request, "after"), _number(request, "twin")
                return Response.of_json(await self._views.device(device_id, after, twin))
        raise HttpError(404, "the page has no such view")

    def close(self) -> None:
        """End the thread, if there is one."""
        if self._views is not None:
            self._views.close()


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def _number(request: Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise HttpError(400, f"{name} is to be a whole number")
    return int(text)
