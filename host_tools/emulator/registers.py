"""Memory that the board's process and the supervisor share: what is read often and needs no answer.

What both map costs neither side a message: a program may ask a hundred times a second whether Wi-Fi is up, feed
its watchdog each time and write its flash, and the supervisor sleeps on. All numbers little-endian; `chip/_wire.py`
is the other reader.

     0  u8   the access point is in range              written by the supervisor
     1  u8   radio: 0 off, 1 on, 2 asked to join       written by the board
     2  u16  how often the access point went away      supervisor
     4  u16  TCP port that stands for every server     supervisor
     6  u8   changes of pins wait for an answer        supervisor
     7  u8   an interrupt has been sent                supervisor, and back to 0 by the board
     8  i64  board clock minus host clock, ns          both (power-on resets it, NTP and RTC set it)
    16  u32  watchdog: ticks_ms of the last feed       board
    24  u32  heap bytes in use before boot.py          board
    28  u32  most heap bytes found in use              board
    32  u64  radio: monotonic ms of the join           board
    40  u16  radio: byte 2 at the join                 board
    42  u16  UDP port that stands for the name server  supervisor
    44  u8   the heap is measured                      supervisor
    46  u16  UDP port that stands for time servers     supervisor
    64  64 x u8  level of each GPIO                    board for outputs, supervisor for inputs
   128  64 x u8  mode of each GPIO (chip/_pin.py)      board
   256  one line of JSON: what the chip is             supervisor, before each start
  3584  384 bytes: a sensor's registers                both, see bme280.py
  3968  64 x u16  voltage on each GPIO, 100 uV         supervisor
  4096  u32 each: the flash and its wear               both, see flash_file.py
"""

import json
import mmap
import os
import struct
from typing import Any

from host_tools.errors import UserError

PAGE_BYTES = 4096
GPIO_COUNT = 64

_ACCESS_POINT = 0
_RADIO = 1
_LOSSES = 2
_RELAY_PORT = 4
_PINS_ANSWERED = 6
_INTERRUPT = 7
_CLOCK_OFFSET = 8
_FEED = 16
_HEAP_BASE = 24
_HEAP_PEAK = 28
_NAMES_PORT = 42
_HEAP_MEASURED = 44
_TIME_PORT = 46
_LEVELS = 64
_MODES = 128
_CONFIG = 256
_SENSOR = 3584
_VOLTAGES = 3968
_VOLTAGE_STEP_V = 1e-4
# A 32-bit interpreter counts its ms in 30 bits (MicroPython documentation, time.ticks_ms).
_TICKS = 1 << 30


class Registers:
    """The supervisor's side of the page. `fd` is what the board's process inherits.

    wear_words: numbers that the flash needs behind the page; `wear` is where.
    """

    def __init__(self, wear_words: int = 0) -> None:
        self.fd = os.memfd_create("fieldpost-board", os.MFD_CLOEXEC)
        size = PAGE_BYTES + 4 * wear_words
        os.ftruncate(self.fd, size)
        self._page = mmap.mmap(self.fd, size)
        self.wear = memoryview(self._page)[PAGE_BYTES:].cast("I")
        self.sensor = memoryview(self._page)[_SENSOR:_VOLTAGES]
        self._page[_HEAP_MEASURED] = 1

    def close(self) -> None:
        """Give the memory back."""
        self.wear.release()
        self.sensor.release()
        self._page.close()
        os.close(self.fd)

    def power_on(self) -> None:
        """Forget what a chip forgets without power: radio and pins."""
        self._page[_RADIO] = 0
        self._page[_LEVELS:_MODES] = bytes(GPIO_COUNT)
        self._page[_MODES : _MODES + GPIO_COUNT] = bytes(GPIO_COUNT)

    def start_process(self, config: dict[str, Any]) -> None:
        """Tell the next run of the interpreter what it is; forget what the last one has counted."""
        struct.pack_into("<II", self._page, _HEAP_BASE, 0, 0)
        self._page[_INTERRUPT] = 0
        line = json.dumps(config, separators=(",", ":")).encode() + b"\n"
        if len(line) > _SENSOR - _CONFIG:
            raise UserError("this board has too many flash regions for the emulator: merge some of them")
        self._page[_CONFIG : _CONFIG + len(line)] = line

    @property
    def access_point(self) -> bool:
        """Whether the access point is in range."""
        return bool(self._page[_ACCESS_POINT])

    @access_point.setter
    def access_point(self, in_range: bool) -> None:
        if self.access_point and not in_range:
            (losses,) = struct.unpack_from("<H", self._page, _LOSSES)
            struct.pack_into("<H", self._page, _LOSSES, (losses + 1) & 0xFFFF)
        self._page[_ACCESS_POINT] = in_range

    def set_relay_port(self, port: int) -> None:
        """Set the TCP port on 127.0.0.1 that every name and port of the board leads to."""
        struct.pack_into("<H", self._page, _RELAY_PORT, port)

    def set_names_port(self, port: int) -> None:
        """Set the UDP port on 127.0.0.1 at which the board finds its name server."""
        struct.pack_into("<H", self._page, _NAMES_PORT, port)

    def set_time_port(self, port: int) -> None:
        """Set the UDP port on 127.0.0.1 that stands for every time server."""
        struct.pack_into("<H", self._page, _TIME_PORT, port)

    def set_clock_offset_ns(self, offset_ns: int) -> None:
        """Set the board's clock to the host's clock plus `offset_ns`."""
        struct.pack_into("<q", self._page, _CLOCK_OFFSET, offset_ns)

    def last_feed_ms(self, now_ms: int) -> int:
        """Return when the watchdog was last fed, in ms of CLOCK_MONOTONIC, of which it is `now_ms`."""
        past_ms = (now_ms - int(struct.unpack_from("<I", self._page, _FEED)[0])) % _TICKS
        return now_ms - past_ms if past_ms < _TICKS // 2 else now_ms  # fed after the caller looked at the clock

    def announce_interrupt(self) -> None:
        """Say that a signal is on its way to the board, which looks for it only then."""
        self._page[_INTERRUPT] = 1

    def measure_heap(self, is_measured: bool) -> None:
        """Say whether the board shall note how much heap it has in use; looking takes it 50 us each time."""
        self._page[_HEAP_MEASURED] = is_measured

    @property
    def heap_base_bytes(self) -> int:
        """Heap in use before the board's own programs began: the emulator's share. 0 until known."""
        return int(struct.unpack_from("<I", self._page, _HEAP_BASE)[0])

    @property
    def heap_peak_bytes(self) -> int:
        """Most heap in use at any sleep or watchdog feed of this process, garbage included."""
        return int(struct.unpack_from("<I", self._page, _HEAP_PEAK)[0])

    def set_level(self, gpio: int, level: int) -> None:
        """Drive a GPIO from outside."""
        self._page[_LEVELS + gpio] = 1 if level else 0

    def set_voltage(self, gpio: int, volts: float) -> None:
        """Put a voltage on a GPIO, for the ADC; kept in steps of 100 uV up to 6.5 V."""
        struct.pack_into("<H", self._page, _VOLTAGES + 2 * gpio, round(volts / _VOLTAGE_STEP_V))

    def answer_pins(self, is_answered: bool) -> None:
        """Say whether the board waits for an answer whenever it changes a pin."""
        self._page[_PINS_ANSWERED] = is_answered
