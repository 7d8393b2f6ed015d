"""Names to addresses on CPython, whose getaddrinfo blocks for half a minute if it must: a thread waits for it.

Boards have no second thread to spare, and a question of their own (links.dns).
"""

import socket
import threading

from fieldpost.compat import ticks_diff, ticks_ms
from fieldpost.limits import DNS_WAIT_MS_MAX

_asking = {}  # the threads that still wait, by what they ask for: a second one would only be one more


class Question:
    """One question for the addresses of `host`; port: what for. One that is under way already is joined."""

    def __init__(self, host, port):
        self._since = ticks_ms()
        self._thread = _asking.get((host, port))
        if self._thread is None:
            self._thread = _asking[host, port] = _Thread(host, port)
            self._thread.start()

    def answer(self):
        """Return getaddrinfo's list, or None for "not yet". Raises OSError."""
        if self._thread.error is not None:
            raise self._thread.error
        if self._thread.found is None and ticks_diff(ticks_ms(), self._since) > DNS_WAIT_MS_MAX:
            raise OSError("the name server does not answer")
        return self._thread.found


class _Thread(threading.Thread):
    def __init__(self, host, port):
        super().__init__(daemon=True)  # the end of the service does not wait for a name server
        self.found = self.error = None
        self._what = host, port

    def run(self):
        host, port = self._what
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except OSError as error:
            self.error = error
        except UnicodeError:  # a name that no name server can know
            self.error = OSError("%s is no host name" % host)
        else:
            self.found = found
        finally:
            del _asking[host, port]
