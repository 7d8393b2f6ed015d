"""What the chip asks of its surroundings, message by message.

One packet of the socket is one message; its first byte says what it is. A message marked * is answered with
one packet, whose first byte is 0 for success; all others need no answer. Numbers are little-endian.

    P*  u32 offset, data           program flash, inside one page
    E*  u32 sector                 erase flash
    F*  u32 offset, u16 length     read flash; only used where weak sectors make the image file a liar
    I*  u8 bus, u8 address, u8 writes, u16 read_length, data     I2C transfer; answer 1 nobody there, 2 stuck
    T*                             ask a time server; answer i64 ns since 1970, or 1 for no answer
    B   u8 bus, u8 scl, u8 sda     I2C set up on these GPIOs
    G   u8 gpio, u8 output, u8 level, u8 answered              * if `answered`, which registers.py tells, as in M
    M   u8 gpio, u32 frequency_hz, u16 duty, u8 answered       PWM; frequency 0: stopped
    W   u32 timeout_ms             watchdog started
    R   u8 kind, u32 ms            reset, see RESETS; ms: how long to sleep before
    Y                              start-up done; interrupts welcome
    A                              the interrupt has arrived
"""

import errno
import struct
from collections.abc import Callable
from typing import Protocol

from host_tools.emulator.i2c import I2cWires, NotAcknowledged
from host_tools.emulator.nor_flash import NorFlash, PowerCut
from host_tools.emulator.pins import Pins, Pwm
from host_tools.emulator.shape import I2cBus

RESETS = ("reset", "soft", "soft raw", "sleep", "bootloader")
_OK = b"\0"
_NOBODY = b"\1"
_STUCK = b"\2"


class Supervisor(Protocol):
    """What the messages need of the board around the chip."""

    @property
    def has_power(self) -> bool: ...

    def armed_cut_came(self) -> None: ...

    def watchdog_started(self, timeout_ms: int) -> None: ...

    def reset_asked(self, kind: str, after_ms: int) -> None: ...

    def chip_ready(self) -> None: ...

    def interrupt_taken(self) -> None: ...


class ChipMessages:
    """Does what messages ask; `handle` returns the answer to send, or None."""

    def __init__(self, supervisor: Supervisor, flash: NorFlash, pins: Pins, wires: I2cWires, bus: I2cBus) -> None:
        self._supervisor = supervisor
        self._flash = flash
        self._pins = pins
        self._wires = wires
        self._bus = bus
        self._is_bus_right = False
        self._handlers: dict[int, Callable[[bytes], bytes | None]] = {
            ord("P"): self._program,
            ord("E"): self._erase,
            ord("F"): self._read,
            ord("I"): self._i2c,
            ord("B"): self._i2c_setup,
            ord("W"): self._watchdog,
            ord("R"): self._reset,
            ord("Y"): lambda message: self._supervisor.chip_ready(),
        }

    def handle(self, message: bytes) -> bytes | None:
        """Do what one message asks."""
        if message[:1] in (b"G", b"M"):
            return self._pin_changed(message)
        if message[:1] == b"A":
            self._supervisor.interrupt_taken()
            return None
        if not self._supervisor.has_power:
            return None  # sent before the cut, and too late
        return self._handlers[message[0]](message)

    def _pin_changed(self, message: bytes) -> bytes | None:
        # It was so from the moment the program did it, even if the power has gone since.
        try:
            self._change_pin(message)
        except PowerCut:
            self._supervisor.armed_cut_came()
            return None
        return _OK if message[-1] else None

    def _change_pin(self, message: bytes) -> None:
        if message[:1] == b"M":
            _, gpio, frequency_hz, duty_u16, _ = struct.unpack("<BBIHB", message)
            self._pins.modulated_by_program(gpio, Pwm(frequency_hz, duty_u16) if frequency_hz else None)
        else:
            _, gpio, is_output, level, _ = message
            self._pins.changed_by_program(gpio, bool(is_output), level)

    def _program(self, message: bytes) -> bytes | None:
        (offset,) = struct.unpack_from("<I", message, 1)
        try:
            self._flash.program(offset, message[5:])
        except PowerCut:
            self._supervisor.armed_cut_came()
            return None
        return _OK

    def _erase(self, message: bytes) -> bytes | None:
        (sector,) = struct.unpack_from("<I", message, 1)
        try:
            self._flash.erase(sector)
        except PowerCut:
            self._supervisor.armed_cut_came()
            return None
        return _OK

    def _read(self, message: bytes) -> bytes:
        offset, length = struct.unpack_from("<IH", message, 1)
        buffer = bytearray(length)
        self._flash.read(offset, buffer)
        return _OK + bytes(buffer)

    def _i2c_setup(self, message: bytes) -> None:
        _, bus, scl, sda = message
        self._is_bus_right = (bus, scl, sda) == (self._bus.id, self._bus.scl, self._bus.sda)

    def _i2c(self, message: bytes) -> bytes:
        _, _, address, writes, read_length = struct.unpack_from("<BBBBH", message)
        if not self._is_bus_right:
            return _NOBODY  # other wires: nothing hangs on them
        try:
            return _OK + self._wires.transfer(address, message[6:] if writes else None, read_length)
        except NotAcknowledged as error:
            return _STUCK if error.number == errno.ETIMEDOUT else _NOBODY

    def _watchdog(self, message: bytes) -> None:
        self._supervisor.watchdog_started(struct.unpack_from("<I", message, 1)[0])

    def _reset(self, message: bytes) -> None:
        _, kind, after_ms = struct.unpack("<BBI", message)
        self._supervisor.reset_asked(RESETS[kind], after_ms)
