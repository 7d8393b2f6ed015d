"""Names to addresses without waiting, for boards. Loaded for a question, and taken off the heap after it.

Their own getaddrinfo holds up everything until lwIP gives up: after 7 s for each name server that DHCP has named
(dns.c, DNS_MAX_RETRIES), which is longer than a watchdog of 8 s allows for two. So the question is put here: for an
A record, over UDP, to the first of these servers (RFC 1035 sections 4.1 and 4.2.1), or to all neighbours for a name
in `.local` (RFC 6762 section 5.1). What the answer is worth, TLS decides.
"""

import socket

from fieldpost.compat import random_below, ticks_diff, ticks_ms
from fieldpost.limits import DNS_ANSWER_BYTES_MAX, DNS_FIRST_WAIT_MS, DNS_WAIT_MS_MAX

_NEIGHBOURS = ("224.0.0.251", 5353)
_PORT = 53
_A_IN = b"\0\1\0\1"
_NO_SUCH_NAME = 3


class Question:
    """One question for the addresses of `host`; port: what for. server: (IPv4 address, port), None for the network's.

    Raises OSError if it cannot be put.
    """

    def __init__(self, host, port, server=None):
        self._host = host
        self._port = port
        self._socket = None
        if _is_address(host):
            return
        server = server or (_NEIGHBOURS if host.endswith(".local") else _network_server())
        if server is None:
            return
        query = bytearray((random_below(256), random_below(256), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0))
        for label in host.split("."):
            if not 0 < len(label) < 64:
                raise OSError("%s is no host name" % host)
            query.append(len(label))
            query.extend(label.encode())
        self._query = bytes(query) + b"\0" + _A_IN
        self._server = socket.getaddrinfo(server[0], server[1], 0, socket.SOCK_DGRAM)[0][-1]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._since = ticks_ms()
        self._wait_ms = 0  # from the beginning until it is asked again

    def answer(self):
        """Return a list as getaddrinfo's, or None for "not yet". Raises OSError."""
        found = self.addresses()
        return found and [socket.getaddrinfo(address, self._port, 0, socket.SOCK_STREAM)[0] for address in found]

    def addresses(self):
        """Return a list of texts, or None for "not yet". Raises OSError.

        A text is an IPv4 address, or `host` itself where it is one or no network is there to ask.
        """
        if self._socket is None:
            return [self._host]
        waited_ms = ticks_diff(ticks_ms(), self._since)
        if waited_ms >= DNS_WAIT_MS_MAX:
            self.close()
            raise OSError("the name server does not answer")
        if waited_ms >= self._wait_ms:
            self._wait_ms = 2 * waited_ms + DNS_FIRST_WAIT_MS
            try:
                self._socket.sendto(self._query, self._server)
            except OSError:
                pass  # no route yet: it is asked again
        try:
            found = _addresses(self._socket.recv(DNS_ANSWER_BYTES_MAX), self._query)
        except OSError:
            return None  # nothing yet; ports have several numbers for that
        except IndexError:
            return None  # cut off, or forged: the right one may follow
        if found is None:
            return None
        self.close()
        if not found:
            raise OSError("nobody knows that name")
        return found

    def close(self):
        """Let go of the socket; nobody waits any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _addresses(answer, query):
    """Return the addresses of an answer, none if there is no such name; None if it does not answer this question."""
    end = len(query)
    if answer[:2] != query[:2] or not answer[2] & 0x80 or answer[12:end].lower() != query[12:].lower():
        return None
    code = answer[3] & 15
    if code not in (0, _NO_SUCH_NAME):
        return None  # the server has trouble of its own, which may pass
    found = []
    for _ in range(answer[6] << 8 | answer[7]):
        while answer[end] and answer[end] < 0xC0:
            end += 1 + answer[end]
        end += 2 if answer[end] else 1  # a pointer, or the end of a name
        size = answer[end + 8] << 8 | answer[end + 9]
        is_address = answer[end : end + 2] == _A_IN[:2] and answer[end + 3] == 1 and size == 4
        end += 10 + size
        if is_address:
            found.append("%d.%d.%d.%d" % (answer[end - 4], answer[end - 3], answer[end - 2], answer[end - 1]))
    return found


def _is_address(host):
    return ":" in host or host.replace(".", "").isdigit()


def _network_server():
    """Return the name server of the network that a board has joined, None where there is no such network."""
    try:
        import network
    except ImportError:
        return None
    server = network.WLAN(network.STA_IF).ifconfig()[3]
    if server == "0.0.0.0":
        raise OSError("the network has named no name server")
    return server, _PORT
