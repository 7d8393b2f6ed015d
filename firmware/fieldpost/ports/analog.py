"""Pins between 0 and 1 on a MicroPython board (MicroPython documentation, machine.PWM and machine.ADC)."""

import machine

_FULL_SCALE_UV = 3_300_000  # where the port gives no calibrated value: the supply of the converter
_IDLE_HZ = 1000


class PwmPin:
    """A pin whose level is 0, or a tuple of duty in thousandths and frequency in hertz."""

    def __init__(self, gpio):
        self._pwm = machine.PWM(machine.Pin(gpio, machine.Pin.OUT, value=0), freq=_IDLE_HZ, duty_u16=0)

    def value(self, level=None):
        """Set the level; without one return 0 or 1, whether the pin is ever high."""
        if level is None:
            return 1 if self._pwm.duty_u16() else 0
        if level:
            duty_permille, frequency_hz = level
            self._pwm.freq(frequency_hz)
            self._pwm.duty_u16(duty_permille * 65535 // 1000)
        else:
            self._pwm.duty_u16(0)
        return None


class AdcPin:
    """A pin that measures."""

    def __init__(self, gpio):
        pin = machine.Pin(gpio)
        # The ESP32 measures up to 1 V unless told otherwise.
        self._adc = (
            machine.ADC(pin, atten=machine.ADC.ATTN_11DB) if hasattr(machine.ADC, "ATTN_11DB") else machine.ADC(pin)
        )

    def read(self):
        """Return (0 to 65535, microvolts)."""
        raw = self._adc.read_u16()
        if hasattr(self._adc, "read_uv"):
            return raw, self._adc.read_uv()
        return raw, raw * _FULL_SCALE_UV // 65535
