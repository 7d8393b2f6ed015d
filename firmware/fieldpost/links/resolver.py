"""Names to addresses. A system's resolver blocks, for half a minute if it must: on CPython a thread waits for it.

Boards have no second thread to spare and ask in place: lwIP gives up by itself after some seconds.
"""

import socket

from fieldpost.compat import is_micropython


class Resolver:
    """Asks for the addresses of one host. At most one question is under way at a time, and its answer is kept."""

    def __init__(self, host, port):
        self._host = host
        self._port = port
        self._found = None
        self._error = None
        self._thread = None

    def ask(self):
        """Put the question, unless one is still under way: its answer will do."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._found = self._error = None
        self._start()

    def answer(self):
        """Return getaddrinfo's list, or None for "not yet". Raises OSError."""
        if self._error is not None:
            raise self._error
        return self._found

    def _resolve(self):
        try:
            self._found = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM)
        except OSError as error:
            self._error = error
        except UnicodeError:  # CPython: a name that no name server can know
            self._error = OSError("%s is no host name" % self._host)

    if is_micropython:
        _start = _resolve

    else:

        def _start(self):
            import threading

            # A daemon: the end of the service does not wait for a name server.
            self._thread = threading.Thread(target=self._resolve, daemon=True)
            self._thread.start()
