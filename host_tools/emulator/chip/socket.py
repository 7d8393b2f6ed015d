# Sockets of the interpreter below; names lead to the relay that stands for the network (link.py).

import _wire
import usocket
from micropython import const
from usocket import *
from usocket import getaddrinfo as _getaddrinfo

_RELAY_PORT = const(4)
_NAMES_PORT = const(42)
_TIME_PORT = const(46)
_DNS_PORT = const(53)
_NTP_PORT = const(123)


# Whatever is asked for, the relay answers; without Wi-Fi, nobody does.
def getaddrinfo(host, port, *options):
    import network

    if not network.WLAN(network.STA_IF).isconnected():
        raise OSError(-202 if _wire.port == "esp32" else -2)
    if not host.replace(".", "").isdigit():
        _find(host)
    elif port == _DNS_PORT:
        return _getaddrinfo("127.0.0.1", _wire.get_u16(_NAMES_PORT), *options)
    there = _TIME_PORT if port == _NTP_PORT else _RELAY_PORT
    return _getaddrinfo("127.0.0.1", _wire.get_u16(there), *options)


# As lwIP does it (dns.c): ask, and do nothing else until there is an answer, or none after 7 s. No watchdog is fed.
def _find(host):
    import select
    import struct

    question = b"".join([bytes((len(label),)) + label.encode() for label in host.split(".")])
    names = usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM)
    try:
        server = _getaddrinfo("127.0.0.1", _wire.get_u16(_NAMES_PORT))[0][-1]
        names.sendto(struct.pack(">HHHHHH", 1, 256, 1, 0, 0, 0) + question + b"\0\0\1\0\1", server)
        poll = select.poll()
        poll.register(names, select.POLLIN)
        if not poll.poll(7000) or names.recv(512)[3] & 15:
            raise OSError(-202 if _wire.port == "esp32" else -2)
    finally:
        names.close()
