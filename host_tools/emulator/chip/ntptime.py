# The module that a firmware has for the time (micropython-lib, micropython/net/ntptime).

import socket
import struct
import time as _time

import _wire

host = "pool.ntp.org"
timeout = 1


def time():
    query = bytearray(48)
    query[0] = 0x1B
    server = socket.getaddrinfo(host, 123)[0][-1]
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        asking.settimeout(timeout)
        asking.sendto(query, server)
        answer = asking.recv(48)
    except OSError:
        raise OSError(116 if _wire.port == "esp32" else 110)
    finally:
        asking.close()
    seconds = struct.unpack_from("!I", answer, 40)[0]
    if seconds < 3913056000:
        seconds += 0x100000000
    return seconds - 2208988800 - _time._EPOCH_S


def settime():
    _time._set_ns(time() * 1000000000)
