"""What one interpreter lacks of the other, settled in one place.

Nothing else in the package asks which interpreter it runs on.
"""

import os
import sys

is_micropython = sys.implementation.name == "micropython"

if is_micropython:
    from time import sleep_ms, ticks_diff, ticks_ms

    from micropython import const
else:
    import time as _time

    _TICKS_PERIOD = 1 << 30  # as on 32-bit boards, so that wrap bugs show on a workstation too

    def const(value):
        """Return `value`; MicroPython folds it at compile time."""
        return value

    def ticks_ms():
        """Return a millisecond counter that wraps at 2**30."""
        return _time.monotonic_ns() // 1_000_000 & (_TICKS_PERIOD - 1)

    def ticks_diff(end, start):
        """Return end - start in milliseconds, signed, right across one wrap."""
        return ((end - start + _TICKS_PERIOD // 2) & (_TICKS_PERIOD - 1)) - _TICKS_PERIOD // 2

    def sleep_ms(duration_ms):
        """Sleep for `duration_ms` milliseconds."""
        _time.sleep(duration_ms / 1000)


def alias_u_modules():
    """Let packages that import `usocket`, `ustruct` or `ubinascii` load on CPython.

    umqtt.simple 1.3.4 imports the modules by those names; MicroPython still resolves them.
    """
    if is_micropython:
        return
    for name in ("socket", "struct", "binascii", "time", "json", "os"):
        sys.modules.setdefault("u" + name, __import__(name))


_JSON_DEPTH_MAX = const(16)  # IoT Hub's twins reach 10 below `desired`


def is_whole_json(text):
    """Return whether every bracket of a JSON text is closed, and none lies deeper than 16 levels.

    MicroPython's parser closes brackets at the end of the text, and takes memory for each. Ask before it parses.
    """
    depth = 0
    in_string = escaped = False
    for byte in text.encode():  # by its characters, MicroPython would keep each different one for ever (py/objstr.c)
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            if depth > _JSON_DEPTH_MAX:
                return False
        elif byte in b"}]":
            depth -= 1
    return depth == 0


def random_below(limit):
    """Return a random integer from 0 to limit - 1, for jitter; not for secrets."""
    return int.from_bytes(os.urandom(4), "little") % limit
