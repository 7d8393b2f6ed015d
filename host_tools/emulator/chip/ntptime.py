# A time server as the board sees it (micropython-lib, micropython/net/ntptime).

import struct
import time as _time

import _wire

host = "pool.ntp.org"
timeout = 1


def time():
    if _wire.get(0) == 0 or _wire.call(b"T"):
        _time.sleep(timeout)
        raise OSError(116 if _wire.port == "esp32" else 110)
    return struct.unpack_from("<q", _wire.reply, 1)[0] // 1000000000 - _time._EPOCH_S


def settime():
    _time._set_ns(time() * 1000000000)
