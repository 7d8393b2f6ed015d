"""A Bosch BME280 at the level of its registers (BST-BME280-DS002, revision 1.6 and later).

What a room is like goes in as degrees, hectopascals and percent; out comes what the part's converters would
say, found by inverting the datasheet's own compensation formulas, so that any driver that follows the
datasheet reads the room back within the part's resolution.

    0x88..0xA1  calibration, first part (section 4.2.2)     0xF2  ctrl_hum   effective after ctrl_meas is written
    0xD0        chip id 0x60                                0xF3  status     bit 3 measuring, bit 0 im_update
    0xE0        reset by 0xB6                               0xF4  ctrl_meas  mode: 00 sleep, 01/10 forced, 11 normal
    0xE1..0xE7  calibration, second part                    0xF5  config     standby time, filter
                                                            0xF7..0xFE  pressure, temperature, humidity

A sensor whose conversions take no time can share its registers with the chip that reads it (chip/_i2c.py), which then
asks nobody: to begin a conversion like the last one changes nothing there as long as the room stays as it is.

     0  u8   I2C address at which this holds, 0: at none now    both
     1  u8   ctrl_hum of the last conversion                    sensor
     2  u8   ctrl_meas of the last conversion                   sensor
     4  u32  conversions that the chip began by itself          chip
     8  256 x u8  registers                                     sensor
"""

import struct
import time
from collections.abc import Callable

CHIP_ID = 0x60

# A typical part; the temperature and pressure words are the example of the BMP280 datasheet, table 21.
_T = (27504, 26435, -1000)
_P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
_H = (75, 362, 0, 313, 50, 30)

_SKIPPED_20_BITS = 0x80000
_SKIPPED_16_BITS = 0x8000
_OVERSAMPLING = (0, 1, 2, 4, 8, 16, 16, 16)  # section 5.4.3
_STANDBY_MS = (0.5, 62.5, 125.0, 250.0, 500.0, 1000.0, 10.0, 20.0)  # section 5.4.6
_START_UP_S = 0.002  # section 1.1, table 1
_MEASURING = 0x08
_IM_UPDATE = 0x01
_RESET_WORD = 0xB6
_SLEEP, _NORMAL = 0, 3


class _Room:
    """What the room is like, in one respect; a sensor that was told otherwise converts anew."""

    def __init__(self, value: float) -> None:
        self._value = value
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = "_" + name

    def __get__(self, sensor: "Bme280", owner: type) -> float:
        return float(getattr(sensor, self._name, self._value))

    def __set__(self, sensor: "Bme280", value: float) -> None:
        setattr(sensor, self._name, value)
        sensor.ask_again()


class Bme280:
    """One sensor. temperature_c, pressure_hpa, humidity_percent: the room, to be set at any time.

    clock: seconds, monotonic; conversions take as long as the datasheet says they typically do.
    shared: memory that the chip sees too; conversions take no time then. address: where the sensor is soldered.
    """

    temperature_c = _Room(21.5)
    pressure_hpa = _Room(1013.25)
    humidity_percent = _Room(48.0)

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, shared: memoryview | None = None, address: int = 0
    ) -> None:
        self._clock = clock
        self._shared = shared
        self._address = address
        self._conversions = 0
        self._registers = bytearray(256)
        self.power_on()

    @property
    def conversions(self) -> int:
        """Forced conversions begun since it was made; power cuts do not reset it."""
        if self._shared is None:
            return self._conversions
        return self._conversions + int.from_bytes(self._shared[4:8], "little")

    def ask_again(self) -> None:
        """Let the chip ask for its next conversion, and not take the last one's result: something has changed."""
        if self._shared is not None:
            self._shared[0] = 0

    def power_on(self) -> None:
        """Start as after power-on or a soft reset (section 5.4.2)."""
        registers = self._registers = bytearray(256)
        registers[0x88:0xA0] = struct.pack("<HhhH8h", *_T, *_P)
        registers[0xA1] = _H[0]
        registers[0xE1:0xE8] = _humidity_words()
        registers[0xD0] = CHIP_ID
        self._store(_SKIPPED_20_BITS, _SKIPPED_20_BITS, _SKIPPED_16_BITS)
        self._pointer = 0
        self._humidity_setting = 0
        self.ask_again()
        self._ready_at_s = self._clock() + _START_UP_S
        self._done_at_s: float | None = None
        self._sample = (0, 0, 0)

    def write(self, data: bytes) -> None:
        """Take register addresses and values in pairs; a lone last byte sets where reading starts (6.2.1)."""
        for index in range(0, len(data) - 1, 2):
            self._write_register(data[index], data[index + 1])
        if len(data) % 2:
            self._pointer = data[-1]

    def read(self, length: int) -> bytes:
        """Return registers from where the last write pointed, counting up (6.2.2)."""
        self._settle()
        result = bytes(self._registers[(self._pointer + index) % 256] for index in range(length))
        self._pointer = (self._pointer + length) % 256
        return result

    def _write_register(self, register: int, value: int) -> None:
        self._settle()
        if register == 0xE0 and value == _RESET_WORD:
            self.power_on()
        elif register == 0xF2:
            self._registers[0xF2] = value & 0x07
        elif register == 0xF4:
            self._registers[0xF4] = value
            self._humidity_setting = self._registers[0xF2]  # section 5.4.3: latched here
            if value & 3 != _SLEEP:
                self._begin_conversion(is_forced=value & 3 != _NORMAL)
        elif register == 0xF5 and self._registers[0xF4] & 3 != _NORMAL:
            self._registers[0xF5] = value & 0xFD

    def _begin_conversion(self, is_forced: bool) -> None:
        self.ask_again()
        if is_forced:
            self._conversions += 1
        self._sample = self._convert()
        self._done_at_s = self._clock() + (self._conversion_s() if self._shared is None else 0.0)
        if is_forced and self._shared is not None:
            self._share(self._shared)

    def _share(self, shared: memoryview) -> None:
        """Let the chip have what this conversion has come to, and begin others like it by itself."""
        shared[1:3] = bytes((self._registers[0xF2], self._registers[0xF4]))
        self._settle()
        shared[8 : 8 + len(self._registers)] = self._registers
        if not self._registers[0xF3]:
            shared[0] = self._address

    def _settle(self) -> None:
        """Let what takes time be over if its time has passed."""
        now_s = self._clock()
        if self._done_at_s is not None and now_s >= self._done_at_s:
            self._store(*self._sample)
            if self._registers[0xF4] & 3 == _NORMAL:
                # Only the newest cycle can still be read.
                standby_s = _STANDBY_MS[self._registers[0xF5] >> 5] / 1000
                self._sample = self._convert()
                self._done_at_s = now_s + standby_s + self._conversion_s()
            else:
                self._registers[0xF4] &= 0xFC  # back to sleep (section 3.3.3)
                self._done_at_s = None
        measuring = _MEASURING if self._done_at_s is not None else 0
        self._registers[0xF3] = measuring | (_IM_UPDATE if now_s < self._ready_at_s else 0)

    def _oversampling(self) -> tuple[int, int, int]:
        control = self._registers[0xF4]
        return (
            _OVERSAMPLING[control >> 5],
            _OVERSAMPLING[control >> 2 & 7],
            _OVERSAMPLING[self._humidity_setting & 7],
        )

    def _conversion_s(self) -> float:
        """Typical measurement time, section 9.1."""
        temperature, pressure, humidity = self._oversampling()
        total_ms = 1.0 + 2.0 * temperature
        total_ms += 2.0 * pressure + 0.5 if pressure else 0.0
        total_ms += 2.0 * humidity + 0.5 if humidity else 0.0
        return total_ms / 1000

    def _convert(self) -> tuple[int, int, int]:
        """Return raw (pressure, temperature, humidity) of the room as it is now."""
        temperature_x, pressure_x, humidity_x = self._oversampling()
        raw_t = raw_p = _SKIPPED_20_BITS
        raw_h = _SKIPPED_16_BITS
        if temperature_x:
            raw_t = self._rounded(_invert(_temperature_c, self.temperature_c, 1 << 20), temperature_x)
        fine = _fine_temperature(raw_t)
        if pressure_x:
            pascal = self.pressure_hpa * 100
            raw_p = self._rounded(_invert(lambda raw: -_pressure_pa(raw, fine), -pascal, 1 << 20), pressure_x)
        if humidity_x:
            raw_h = _invert(lambda raw: _humidity_percent(raw, fine), self.humidity_percent, 1 << 16)
        return raw_p, raw_t, raw_h

    def _rounded(self, raw: int, oversampling: int) -> int:
        """Without the filter the converter gives 16 bits and one more for each doubling (section 3.4.2)."""
        if self._registers[0xF5] >> 2 & 7:
            return raw
        step = 1 << max(0, 4 - (oversampling.bit_length() - 1))
        return min((raw + step // 2) // step * step, (1 << 20) - step)

    def _store(self, pressure: int, temperature: int, humidity: int) -> None:
        self._registers[0xF7:0xFA] = (pressure << 4).to_bytes(3, "big")
        self._registers[0xFA:0xFD] = (temperature << 4).to_bytes(3, "big")
        self._registers[0xFD:0xFF] = humidity.to_bytes(2, "big")


def _humidity_words() -> bytes:
    """Pack dig_H2..dig_H6; H4 and H5 share a byte (section 4.2.2, table 16)."""
    _, h2, h3, h4, h5, h6 = _H
    return struct.pack("<hBbBbb", h2, h3, h4 >> 4, (h4 & 0x0F) | (h5 & 0x0F) << 4, h5 >> 4, h6)


def _invert(formula: Callable[[int], float], wanted: float, limit: int) -> int:
    """Return the raw value below `limit` whose rising `formula` comes nearest to `wanted`."""
    low, high = 0, limit - 1
    while low < high:
        middle = (low + high) // 2
        if formula(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    if low and abs(formula(low - 1) - wanted) < abs(formula(low) - wanted):
        low -= 1
    return low


# Section 8.1, "Compensation formulas in double precision floating point", names as there.


def _fine_temperature(raw: int) -> float:
    t1, t2, t3 = _T
    var1 = (raw / 16384.0 - t1 / 1024.0) * t2
    var2 = (raw / 131072.0 - t1 / 8192.0) ** 2 * t3
    return var1 + var2


def _temperature_c(raw: int) -> float:
    return _fine_temperature(raw) / 5120.0


def _pressure_pa(raw: int, fine: float) -> float:
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = _P
    var1 = fine / 2.0 - 64000.0
    var2 = var1 * var1 * p6 / 32768.0 + var1 * p5 * 2.0
    var2 = var2 / 4.0 + p4 * 65536.0
    var1 = (p3 * var1 * var1 / 524288.0 + p2 * var1) / 524288.0
    var1 = (1.0 + var1 / 32768.0) * p1
    pressure = (1048576.0 - raw - var2 / 4096.0) * 6250.0 / var1
    return pressure + (p9 * pressure * pressure / 2147483648.0 + pressure * p8 / 32768.0 + p7) / 16.0


def _humidity_percent(raw: int, fine: float) -> float:
    h1, h2, h3, h4, h5, h6 = _H
    value = fine - 76800.0
    value = (raw - (h4 * 64.0 + h5 / 16384.0 * value)) * (
        h2 / 65536.0 * (1.0 + h6 / 67108864.0 * value * (1.0 + h3 / 67108864.0 * value))
    )
    return value * (1.0 - h1 * value / 524288.0)
