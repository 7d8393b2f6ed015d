# Sockets of the interpreter below; names lead to the relay that stands for the network (link.py).

import _wire
from usocket import *
from usocket import getaddrinfo as _getaddrinfo

_RELAY_PORT = 4


# Whatever is asked for, the relay answers; without Wi-Fi, nobody does.
def getaddrinfo(host, port, *options):
    import network

    if not network.WLAN(network.STA_IF).isconnected():
        raise OSError(-202 if _wire.port == "esp32" else -2)
    return _getaddrinfo("127.0.0.1", _wire.get_u16(_RELAY_PORT), *options)
