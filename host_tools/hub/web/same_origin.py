"""Whether a request comes from the hub's own page or from a program, and not from another site in somebody's browser.

A browser lets any page that it shows ask this machine. Such requests hold no token, and are refused before it is
looked at all the same:

    Host             a name that is not the hub's was turned to this machine by its owner (DNS rebinding)
    Origin           is the page's own, and the same as Host (RFC 6454)
    Sec-Fetch-Site   what the browser itself says of where the request began (W3C, Fetch Metadata)

Programs send neither of the latter two.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final

from host_tools.hub.web.message import HttpError, Request

LOOPBACK: Final = "localhost"
_SITES: Final = ("same-origin", "none")  # none: typed or bookmarked


def check_host(request: Request, names: Collection[str]) -> None:
    """HttpError 403 unless the request names this machine: by an address, as localhost, or by one of `names`."""
    name = _name(request.headers.get("host", ""))
    if name != LOOPBACK and name not in names and not _is_address(name):
        raise HttpError(403, f"this hub is not called {name[:100]!r}: use its address, or start it with --name")


def check(request: Request, names: Collection[str]) -> None:
    """HttpError 403 unless the request may have come from the hub's own page, or from a program."""
    check_host(request, names)
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower():
        raise HttpError(403, "a page of another origin asks")
    if site is not None and site not in _SITES:
        raise HttpError(403, "a page of another site asks")


def _name(host: str) -> str:
    """Return the host without its port (RFC 9110 section 7.2), an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    """Nobody can turn an address to another machine."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
