"""The same bus where the program moves the two pins itself.

MicroPython's RP2 port does so for a write of no bytes, which the controller cannot do: each probe of `I2C.scan()`
and of many drivers is one. Source: NXP UM10204, section 3.1; the pins are open drain, as the firmware drives them.

    SDA falls while SCL is high: start        SDA rises while SCL is high: stop
    SCL rises: a bit is taken                 SCL falls: the next bit may be put out
"""

from collections.abc import Callable

from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.i2c_target import I2cTarget

_BITS = 8


class I2cPins:
    """Feed it what the chip does to the lines; `hold_sda` is called with True to pull SDA low, with False to let go."""

    def __init__(self, wires: I2cWires, hold_sda: Callable[[bool], object]) -> None:
        self._target = I2cTarget(wires)
        self._hold_sda = hold_sda
        self._scl = self._sda = 1
        self._is_active = False  # between start and stop, and addressed or being so
        self._is_reading = False
        self._is_address = False
        self._bits = 0  # of the byte under way; the ninth is the acknowledgement
        self._byte = 0
        self._is_holding = False

    def sda(self, level: int) -> None:
        """Take what the chip does to SDA: 0 pulls it low, 1 lets it go."""
        if level == self._sda:
            return
        self._sda = level
        if not self._scl:
            return
        if level:
            self._stop()
        else:
            self._start()

    def scl(self, level: int) -> None:
        """Take what the chip does to SCL."""
        if level == self._scl:
            return
        self._scl = level
        if not self._is_active:
            return
        if level:
            self._rises()
        else:
            self._falls()

    def _start(self) -> None:
        self._let_go()
        self._target.begin()
        self._is_active = self._is_address = True
        self._is_reading = False
        self._bits, self._byte = 0, 0

    def _stop(self) -> None:
        self._let_go()
        self._is_active = False
        self._target.end()

    def _rises(self) -> None:
        if self._bits < _BITS:
            if not self._is_reading:
                self._byte = self._byte << 1 | self._sda
            self._bits += 1
        elif self._is_reading:
            self._is_active = not self._sda  # not acknowledged: the master has had enough
            self._bits += 1
        else:
            self._bits += 1

    def _falls(self) -> None:
        if self._bits == _BITS and not self._is_reading:
            self._acknowledge()
        elif self._bits == _BITS:
            self._let_go()  # the master acknowledges
        elif self._bits > _BITS:
            self._let_go()
            self._next_byte()
        elif self._is_reading:
            self._put_bit()

    def _acknowledge(self) -> None:
        is_taken = self._target.address(self._byte >> 1) if self._is_address else self._target.write(self._byte)
        if is_taken:
            self._hold()
        else:
            self._is_active = False

    def _next_byte(self) -> None:
        if self._is_address:
            self._is_reading = bool(self._byte & 1)
            self._is_address = False
        self._bits = 0
        self._byte = self._target.read() if self._is_reading else 0
        if self._is_reading:
            self._put_bit()

    def _put_bit(self) -> None:
        if self._byte >> (_BITS - 1 - self._bits) & 1:
            self._let_go()
        else:
            self._hold()

    def _hold(self) -> None:
        if not self._is_holding:
            self._is_holding = True
            self._hold_sda(True)

    def _let_go(self) -> None:
        if self._is_holding:
            self._is_holding = False
            self._hold_sda(False)
