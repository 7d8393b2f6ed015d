# Between 0 and 1: PWM and ADC (MicroPython 1.25 documentation, machine.PWM, machine.ADC, "Quick reference for
# the ESP32"; ports/esp32 and ports/rp2, machine_pwm.c and machine_adc.c).

import struct

import _wire
from _pin import Pin
from micropython import const

_MODES = const(128)
_PWM = const(4)
_RADIO = const(1)
_VOLTAGES = const(3968)
_ESP_ERR_TIMEOUT = const(0x107)
_esp32 = _wire.port == "esp32"
_FREQ_MIN, _FREQ_MAX = (1, 40000000) if _esp32 else (8, 62500000)


class PWM:
    def __init__(self, dest, *, freq=None, duty_u16=None, duty_ns=None, invert=False):
        self._gpio = (dest if isinstance(dest, Pin) else Pin(dest))._gpio
        self._freq = 5000 if _esp32 else 1907
        self._duty_u16 = 32768 if _esp32 else 0
        self._invert = invert
        self.init(freq=freq, duty_u16=duty_u16, duty_ns=duty_ns)

    def init(self, *, freq=None, duty_u16=None, duty_ns=None, invert=None):
        if freq is not None:
            _check_freq(freq)
            self._freq = freq
        if duty_ns is not None:
            duty_u16 = self._from_ns(duty_ns)
        if duty_u16 is not None:
            self._duty_u16 = _within_u16(duty_u16)
        if invert is not None:
            self._invert = invert
        _wire.put(_MODES + self._gpio, _PWM)
        self._tell(self._freq)

    def deinit(self):
        self._tell(0)
        _wire.put(_MODES + self._gpio, 0)

    def freq(self, value=None):
        if value is None:
            return self._freq
        self.init(freq=value)

    def duty_u16(self, value=None):
        if value is None:
            return self._duty_u16
        self.init(duty_u16=value)

    def duty_ns(self, value=None):
        if value is None:
            return self._duty_u16 * 1000000000 // 65535 // self._freq
        self.init(duty_ns=value)

    def _from_ns(self, ns):
        return min(65535, ns * self._freq * 65535 // 1000000000)

    def _tell(self, freq):
        duty = 65535 - self._duty_u16 if self._invert else self._duty_u16
        _wire.post_pin(bytearray(struct.pack("<BBIHB", 77, self._gpio, freq, duty, 0)))


def _check_freq(freq):
    if not _FREQ_MIN <= freq <= _FREQ_MAX:
        if _esp32:
            raise ValueError("frequency must be from 1Hz to 40MHz")
        raise ValueError("freq too small" if freq < _FREQ_MIN else "freq too large")


def _within_u16(duty):
    if _esp32 and not 0 <= duty <= 65535:
        raise ValueError("duty_u16 must be from 0 to 65535")
    return max(0, min(65535, duty))


class ADC:
    if _esp32:
        ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
        # Full scale in uV: 1.1 V behind the attenuation, as far as the supply lets it (ESP-IDF, "ADC").
        _FULL_UV = (1100000, 1466000, 2195000, 3300000)
    else:
        CORE_TEMP = 4

    def __init__(self, id, *, sample_ns=0, atten=None):
        gpio = id._gpio if isinstance(id, Pin) else id
        self._full_uv = 3300000
        if _esp32:
            if gpio not in (0, 2, 4, 12, 13, 14, 15, 25, 26, 27) and not 32 <= gpio <= 39:
                raise ValueError("invalid pin")
            self.atten(self.ATTN_0DB if atten is None else atten)
        else:
            if not isinstance(id, Pin) and 0 <= id <= 4:
                gpio = 26 + id
            if not 26 <= gpio <= 29 and id != self.CORE_TEMP:
                raise ValueError("Pin doesn't have ADC capabilities")
            if atten is not None:
                raise TypeError("extra keyword arguments given")
        self._gpio = gpio

    def read_u16(self):
        raw = self._raw()
        return raw << 4 | raw >> 8

    def _raw(self):
        # ESP32: the pins below 32 hang on ADC2, which Wi-Fi takes for itself.
        if _esp32 and self._gpio < 32 and _wire.get(_RADIO):
            raise OSError(-_ESP_ERR_TIMEOUT, "ESP_ERR_TIMEOUT")
        uv = _wire.get_u16(_VOLTAGES + 2 * self._gpio) * 100
        return min(4095, (uv * 4095 + self._full_uv // 2) // self._full_uv)

    if _esp32:

        def init(self, *, sample_ns=0, atten=None):
            if atten is not None:
                self.atten(atten)

        def atten(self, atten):
            if not 0 <= atten <= 3:
                raise ValueError("invalid atten")
            self._full_uv = self._FULL_UV[atten]

        # The calibration of the IDF counts in mV.
        def read_uv(self):
            return (self._raw() * self._full_uv // 4095 + 500) // 1000 * 1000

        def read(self):
            return self._raw()
