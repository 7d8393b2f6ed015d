# GPIO. Level and mode of each pin are in the page, so they outlive a soft reset; changes are messages, so the
# world sees each of them, in order.

import _wire
from micropython import const
from umachine import PinBase

_LEVELS = const(64)
_MODES = const(128)
_NONE = const(0)
_IN = const(1)
_OUT = const(2)
_OPEN_DRAIN = const(3)
_LED_GPIO = const(63)
_frame = bytearray(b"G\0\0\0\0")


class Pin(PinBase):
    if _wire.port == "esp32":
        IN, OUT, OPEN_DRAIN, PULL_DOWN, PULL_UP = 1, 3, 7, 1, 2
    else:
        IN, OUT, OPEN_DRAIN, PULL_UP, PULL_DOWN = 0, 1, 2, 1, 2

    def __init__(self, id, mode=-1, pull=-1, value=None):
        if isinstance(id, Pin):
            id = id._gpio
        elif id == "LED" and _wire.port == "rp2":
            id = _LED_GPIO  # hangs on the Wi-Fi chip
        elif not isinstance(id, int) or not 0 <= id < (40 if _wire.port == "esp32" else 30):
            raise ValueError("invalid pin")
        self._gpio = id
        self.init(mode, pull, value)

    def init(self, mode=-1, pull=-1, value=None):
        if mode == -1:
            if value is not None:
                self.value(value)
            return
        if mode == self.IN:
            _wire.put(_MODES + self._gpio, _IN)
            self._tell(0, 0)
            return
        _wire.put(_MODES + self._gpio, _OUT if mode == self.OUT else _OPEN_DRAIN)
        self.value(_wire.get(_LEVELS + self._gpio) if value is None else value)

    def value(self, value=None):
        if value is None:
            return _wire.get(_LEVELS + self._gpio)
        # A pin that PWM drives does not listen to its output register until it is made an output again.
        if _OUT <= _wire.get(_MODES + self._gpio) <= _OPEN_DRAIN:
            level = 1 if value else 0
            _wire.put(_LEVELS + self._gpio, level)
            self._tell(1, level)

    def _tell(self, is_output, level):
        _frame[1] = self._gpio
        _frame[2] = is_output
        _frame[3] = level
        _wire.post_pin(_frame)

    def __call__(self, value=None):
        return self.value(value)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self.value())

    high = on
    low = off

    def __repr__(self):
        return "Pin(%d)" % self._gpio
