"""PWM of a Raspberry Pi: Blinka's pwmio is asked for what the command says, and its troubles come as sentences."""

import sys
from types import SimpleNamespace

import pytest
from fieldpost.errors import ConfigError
from fieldpost.ports.linux import Port

MADE = []


class PWMOut:
    def __init__(self, pin, *, frequency, variable_frequency):
        assert variable_frequency
        if pin == "busy":
            raise OSError(16, "Device or resource busy")
        self.pin, self.frequency, self.duty_cycle = pin, frequency, 0
        MADE.append(self)


@pytest.fixture
def port(monkeypatch):
    MADE.clear()
    monkeypatch.setitem(sys.modules, "board", SimpleNamespace(D18="D18", D19="busy"))
    monkeypatch.setitem(sys.modules, "pwmio", SimpleNamespace(PWMOut=PWMOut))
    return Port({}, {})


def test_duty_and_frequency_reach_the_pin_and_0_is_off(port):
    fan = port.pwm(18)
    assert fan.value(0) is None and MADE == [], "a pin that is low is not touched"
    assert fan.value() == 0
    fan.value((250, 2000))
    (pwm,) = MADE
    assert (pwm.pin, pwm.frequency, pwm.duty_cycle) == ("D18", 2000, 16383) and fan.value() == 1
    fan.value((1000, 500))
    assert (pwm.frequency, pwm.duty_cycle) == (500, 65535)
    fan.value(0)
    assert pwm.duty_cycle == 0 and fan.value() == 0


def test_what_cannot_be_had_is_an_error_that_says_why(port):
    with pytest.raises(OSError, match="GPIO 19 cannot be used for PWM: another program holds it"):
        port.pwm(19).value((10, 1000))
    with pytest.raises(OSError, match="GPIO 99 cannot be used for PWM"):
        port.pwm(99).value((10, 1000))


def test_a_raspberry_pi_measures_nothing(port):
    with pytest.raises(ConfigError, match="gpio 4 is to measure: expected direction output, input or pwm"):
        port.adc(4)
