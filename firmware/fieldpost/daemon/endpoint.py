"""Answers GET on a Unix socket or a port of 127.0.0.1, between two steps of the agent; never waits for a client.

HTTP/1.0 without a library: one request for each connection, an answer, the end (RFC 1945). A client that dawdles
costs its connection, not the readings.
"""

import os
import socket

_CLIENTS_MAX = 8
_REQUEST_BYTES_MAX = 4096
_PATIENCE_S = 2.0
_BACKLOG = 8


def unix_listener(path):
    """Return a socket that listens at `path`, for the service's user and group. Raises OSError."""
    if os.path.exists(path):
        os.unlink(path)  # of a service that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(path)
    os.chmod(path, 0o660)
    return listener


def port_listener(port):
    """Return a socket that listens on `port` of 127.0.0.1. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


class Endpoint:
    """listener: a bound socket. routes: path -> callable that returns (content type, text)."""

    def __init__(self, listener, routes):
        self._listener = listener
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._routes = routes
        self._clients = []

    def poll(self, now_s):
        """Take new clients, answer those that have asked, let go of those that dawdle."""
        while len(self._clients) < _CLIENTS_MAX:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break  # nobody else is there
            connection.setblocking(False)
            self._clients.append(_Client(connection, now_s + _PATIENCE_S))
        self._clients = [client for client in self._clients if client.step(now_s, self._routes)]

    def close(self):
        """Let everybody go."""
        for client in self._clients:
            client.connection.close()
        self._listener.close()


class _Client:
    def __init__(self, connection, deadline_s):
        self.connection = connection
        self._deadline_s = deadline_s
        self._request = b""
        self._answer = None

    def step(self, now_s, routes):
        """Go on as far as it goes without waiting; return whether there is more to do."""
        try:
            if self._answer is None:
                self._request += self.connection.recv(_REQUEST_BYTES_MAX)
                if b"\r\n\r\n" in self._request or len(self._request) >= _REQUEST_BYTES_MAX:
                    self._answer = _answer(self._request, routes)
            while self._answer:
                self._answer = self._answer[self.connection.send(self._answer) :]
        except BlockingIOError:
            pass
        except OSError:
            self._answer = b""
        if self._answer == b"" or now_s > self._deadline_s:
            self.connection.close()
            return False
        return True


def _answer(request, routes):
    words = request.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or words[0] not in (b"GET", b"HEAD"):
        return _response("405 Method Not Allowed", "text/plain", "GET is all there is\n")
    make = routes.get(words[1].split(b"?")[0].decode("ascii", "replace"))
    if make is None:
        return _response("404 Not Found", "text/plain", "there is %s\n" % " and ".join(sorted(routes)))
    content_type, text = make()
    return _response("200 OK", content_type, text if words[0] == b"GET" else "")


def _response(status, content_type, text):
    body = text.encode()
    head = "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return (head % (status, content_type, len(body))).encode() + body
