"""Raspberry Pi: Blinka for pins and bus, a file for the ring, the system's own clock and network.

What the administrator can mend is said in a sentence that says how: I2C switched off, a group that is missing, a
board that Blinka does not know. None of it ends the service; whoever asked is told, and may ask again.
"""

import errno
import os
import sys
import time

from fieldpost.errors import ConfigError, SensorError
from fieldpost.ports.file_region import FileRegion
from fieldpost.ports.stored_text import StoredText

# systemd-timesyncd makes this file when the clock has been set (systemd-timesyncd.service(8)).
_TIMESYNC_FOLDER = "/run/systemd/timesync"
_TIMESYNC_WAIT_S = 120  # afterwards the clock is believed: a site may have no time server at all
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


# What Blinka raises for anything from a missing group to a machine that it does not know.
_FAILURES = (OSError, ValueError, RuntimeError, ImportError)


class Port:
    """The hardware of a Raspberry Pi. log: callable that takes one line."""

    def __init__(self, config, identity, log=print):
        self._config = config
        self._log = log
        self._started_s = time.monotonic()
        self._region = None
        self.network = _SystemNetwork()

    def region(self):
        """Return the region of the configuration's `ring.path`. Raises OSError if the disk has no room for it."""
        ring = self._config["ring"]
        self._region = region = FileRegion(ring["path"], ring["sectors"], ring["group_records"] or 1)
        found, wanted = region.found_sectors, ring["sectors"]
        if region.sector_count < wanted:
            self._log("the disk has no room for %d sectors: the queue stays at %d" % (wanted, found))
        elif found < wanted:
            self._log("the queue grows from %d to %d sectors, in use once it has been empty" % (found, wanted))
        elif found > wanted:
            self._log(
                "the queue keeps its %d sectors, though ring.sectors is %d: it may hold readings. To make it smaller, "
                "stop the service when nothing waits, and remove %s" % (found, wanted, ring["path"])
            )
        return region

    def close(self):
        """Let go of the ring's file."""
        if self._region is not None:
            self._region.close()
            self._region = None

    def i2c(self):
        """Return Blinka's bus on the header's SDA and SCL. Raises SensorError that says what to do."""
        try:
            import board

            return board.I2C()
        except _FAILURES as error:
            raise SensorError("the I2C bus cannot be used: %s" % _advice(error, "i2c")) from error

    def output(self, gpio, level):
        """Return an output pin that starts at `level`."""
        return _Line(gpio, level, self._log)

    def input(self, gpio):
        """Return an input pin."""
        return _Line(gpio, None, self._log)

    def pwm(self, gpio):
        """Return a PWM pin that starts low (Blinka's pwmio)."""
        return _Pwm(gpio)

    def adc(self, gpio):
        """A Raspberry Pi has no converter: ConfigError."""
        raise ConfigError(
            "config.json: a pin with gpio %d is to measure: expected direction output, input or pwm on a Raspberry Pi, "
            "which has no analogue inputs" % gpio
        )

    def settings_store(self):
        """Return where settings are kept that were changed from afar (see stored_text)."""
        return StoredText(self._config["ring"]["path"] + ".settings")

    def stored(self, name):
        """Return where a small text is kept through restarts (see stored_text)."""
        return StoredText("%s.%s" % (self._config["ring"]["path"], name))

    def last_failure(self):
        """Return None: the system's journal knows what ended the service last."""
        return None

    def ask_time_ms(self):
        """Return UTC in ms since 1970, as the system keeps it. OSError while the system still waits for a time server.

        A Raspberry Pi without a battery begins with the time at which it was last switched off.
        """
        waits = os.path.isdir(_TIMESYNC_FOLDER) and not os.path.exists(_TIMESYNC_FOLDER + "/synchronized")
        if waits and time.monotonic() - self._started_s < _TIMESYNC_WAIT_S:
            raise OSError(errno.EAGAIN, "the system's clock has not been set by a time server yet")
        return time.time_ns() // 1_000_000

    def reset_cause(self):
        """Return "power" if the machine has started since the ring was last opened, else "soft"."""
        try:
            with open(_BOOT_ID, encoding="ascii") as file:
                boot_id = file.read()
        except OSError:
            return "unknown"
        note = self._config["ring"]["path"] + ".boot-id"
        try:
            with open(note, encoding="ascii") as file:
                if file.read() == boot_id:
                    return "soft"
        except OSError:
            pass  # the first start
        try:
            with open(note, "w", encoding="ascii") as file:
                file.write(boot_id)
        except OSError as error:
            self._log("%s cannot be written: %s" % (note, error.strerror))
        return "power"

    def reset(self):
        """End the process: systemd starts it again."""
        sys.exit(1)


class _SystemNetwork:
    """The system joins networks by itself; whether the hub can be reached, the link finds out."""

    is_up = True
    is_stuck = False
    trouble = ""

    def step(self, ticks):
        pass


class _Line:
    """A GPIO that is asked like a machine.Pin. Opened when first used, and again after a failure.

    level: what an output begins with, None for an input.
    """

    def __init__(self, gpio, level, log):
        self._gpio = gpio
        self._first_level = level
        self._pin = None
        self._log = log
        self._was_told = False

    def value(self, level=None):
        """Return the level, or set it. Raises OSError if the line cannot be had.

        An output that cannot be had yet and shall only get its first level lets it be: it will begin with it.
        """
        try:
            if self._pin is None:
                self._pin = self._opened()
            if level is None:
                return int(self._pin.value)
            self._pin.value = bool(level)
        except _FAILURES as error:
            self._pin = None
            advice = "GPIO %d cannot be used: %s" % (self._gpio, _advice(error, "gpio"))
            if not self._was_told:
                self._was_told = True
                self._log(advice)
            if level is None or level != self._first_level:
                raise OSError(getattr(error, "errno", None) or errno.EIO, advice) from error
        else:
            self._was_told = False
        return None

    def _opened(self):
        import board
        import digitalio

        pin = getattr(board, "D%d" % self._gpio, None)
        if pin is None:
            raise RuntimeError("this model has no such pin")
        if self._first_level is None:
            return digitalio.DigitalInOut(pin)
        return _output(digitalio, pin, self._first_level)


def _output(digitalio, pin, level):
    """Return a DigitalInOut that is an output of `level` from its first moment.

    Its own constructor lets the line go, and switch_to_output(True) drives it low before it drives it high: a relay
    that is on when low would click at each start. So Blinka's pin is told its level before it becomes an output, and
    only that; everything else is digitalio's.
    """

    class Output(digitalio.DigitalInOut):
        direction = digitalio.Direction.OUTPUT

        def __init__(self):
            self._pin = digitalio.Pin(pin.id)
            self._pin._value = level
            self._pin.init(mode=digitalio.Pin.OUT)

    return Output()


class _Pwm:
    """A PWM pin: its level is 0, or a tuple of duty in thousandths and frequency in hertz. Opened when first used."""

    def __init__(self, gpio):
        self._gpio = gpio
        self._pwm = None

    def value(self, level=None):
        """Return 0 or 1, whether the pin is ever high, or set the level. Raises OSError if the pin cannot be had."""
        if level is None:
            return 1 if self._pwm is not None and self._pwm.duty_cycle else 0
        if self._pwm is None and not level:
            return None  # a pin that nobody has driven is low
        duty_permille, frequency_hz = level or (0, 1000)
        try:
            if self._pwm is None:
                import board
                import pwmio

                pin = getattr(board, "D%d" % self._gpio)
                self._pwm = pwmio.PWMOut(pin, frequency=frequency_hz, variable_frequency=True)
            if level:
                self._pwm.frequency = frequency_hz
            self._pwm.duty_cycle = duty_permille * 65535 // 1000
        except (AttributeError,) + _FAILURES as error:
            self._pwm = None
            advice = "GPIO %d cannot be used for PWM: %s" % (self._gpio, _advice(error, "gpio"))
            raise OSError(getattr(error, "errno", None) or errno.EIO, advice) from error
        return None


def _advice(error, group):
    """Return one sentence for what Blinka raised: what is wrong and what the administrator can do."""
    if isinstance(error, PermissionError) or isinstance(error.__cause__, PermissionError):
        return (
            "no permission for its device: add the service's user to the group %s "
            "(sudo usermod -aG %s fieldpost) and start the service again" % (group, group)
        )
    if isinstance(error, NotImplementedError):
        return "Blinka does not know this machine (%s)" % _one_line(error)
    if isinstance(error, ImportError):
        return "%s: install the package again" % _one_line(error)
    if group == "i2c" and ("not found" in str(error) or "No Hardware I2C" in str(error)):
        return "it is switched off: run 'sudo raspi-config nonint do_i2c 0' and start the machine again"
    if group == "gpio" and getattr(error, "errno", None) == errno.EBUSY:
        return "another program holds it: 'gpioinfo' names it"
    return _one_line(error)


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__
