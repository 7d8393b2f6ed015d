"""One question to one time server, without waiting. Loaded for it, and taken off the heap after it, as is dns.

MicroPython's ntptime would hold up everything for as long as it waits, gives whole seconds, and believes anybody.
"""

import socket

from fieldpost.compat import random_below, ticks_diff, ticks_ms
from fieldpost.limits import NTP_WAIT_MS
from fieldpost.links.dns import Question
from fieldpost.modules import unload

_PORT = 123
_BYTES = 48
_CLIENT = 0x23  # version 4, mode 3
_SERVER_MODE = 4
_UNSYNCHRONISED = 3
_STRATUM_MAX = 15
_TO_1970_S = 2_208_988_800
_ERA_S = 1 << 32


class TimeQuestion:
    """What time is it, `host`? (RFC 5905 section 14, SNTP; section 6 for the stamps.)"""

    def __init__(self, host):
        self._name = Question(host, 0)
        self._socket = None

    def answer_ms(self):
        """Return UTC in ms since 1970, or None for "not yet". Raises OSError."""
        if self._socket is None:
            found = self._name.addresses()
            if found is None:
                return None
            self._ask(found[0])
        waited_ms = ticks_diff(ticks_ms(), self._since)
        try:
            answer = self._socket.recv(_BYTES)
        except OSError:
            answer = b""  # nothing yet; ports have several numbers for that
        # What answers another question is forged, or late: the right one may follow.
        if len(answer) == _BYTES and answer[0] & 7 == _SERVER_MODE and answer[24:32] == self._query[40:]:
            self._close()
            return _utc_ms(answer) + waited_ms // 2
        if waited_ms >= NTP_WAIT_MS:
            self._close()
            raise OSError("the time server does not answer")
        return None

    def _ask(self, address):
        # The stamp that comes back is one that nobody can guess, and tells nobody this clock.
        self._query = bytes([_CLIENT]) + bytes(39) + bytes([random_below(256) for _ in range(8)])
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._since = ticks_ms()
        try:
            self._socket.sendto(self._query, socket.getaddrinfo(address, _PORT, 0, socket.SOCK_DGRAM)[0][-1])
        except OSError:
            self._close()
            raise

    def _close(self):
        self._socket.close()
        self._socket = None


def put_away():
    """Forget these modules until the next question."""
    for name in ("links.dns", "ports.time_server"):
        unload("fieldpost." + name)


def _utc_ms(answer):
    """Return when it was sent, in ms since 1970. Raises OSError if the server does not know, or will not say."""
    if answer[0] >> 6 == _UNSYNCHRONISED or not 0 < answer[1] <= _STRATUM_MAX:
        raise OSError("the time server does not know the time")
    seconds = int.from_bytes(answer[40:44], "big")
    if seconds < _ERA_S // 2:
        seconds += _ERA_S  # the era that begins in 2036
    return (seconds - _TO_1970_S) * 1000 + ((answer[44] << 8 | answer[45]) * 1000 >> 16)
