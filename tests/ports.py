"""Ports for servers that cannot be told to take a free one and say which (Mosquitto, a service's metrics).

A port that the kernel chose and got back may be anybody's before the server has it: the other test process is given one
for each connection that it makes. These lie below those that the kernel gives (ip(7), ip_local_port_range: from 32768).
"""

import itertools
import os
import socket

_FIRST, _COUNT = 20_000, 10_000
# Test processes begin far from one another.
_numbers = itertools.count(os.getpid() * 101)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, another one each time."""
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + number % _COUNT
        with socket.socket() as probe:
            # As servers do: connections of one that has ended are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
