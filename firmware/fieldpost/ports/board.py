"""What every MicroPython board has in common: pins, I2C bus, watchdog, time servers."""

import time

import machine
from busio import I2C

from fieldpost.limits import GROUP_RECORDS
from fieldpost.ports.stored_text import StoredText
from fieldpost.ports.wifi import Wifi

_FOLDER = "/queue"
_FAILURE_CHARS_MAX = 120

# Boards count from 1970 or from 2000; the protocols of fieldpost from 1970.
_EPOCH_OFFSET_S = 0 if time.gmtime(0)[0] == 1970 else 946684800


class Board:
    """The machine under the agent. A port adds `region` and `reset_cause` (see esp32.py, rp2.py)."""

    # Whether the radio's firmware joins again by itself after it lost the access point.
    wifi_reconnects = False

    def __init__(self, config, identity):
        # The whole of it would stay on the heap.
        self._config = {key: config[key] for key in ("i2c", "ntp_hosts", "ring", "watchdog_ms")}
        self._ntp_host = -1
        self._time_question = None  # what is under way
        self.network = Wifi(config["wifi"], identity["wifi_passwords"], self.wifi_reconnects)

    def move_to_flash(self, is_first):
        """Take what modules do not change off the heap, where a port can."""

    def files_region(self):
        """Return a region in files, for a board whose flash has no room set apart."""
        from fieldpost.ports.files_region import FilesRegion  # takes memory, and few boards need it

        ring = self._config["ring"]
        return FilesRegion(_FOLDER, ring["sectors"], ring["group_records"] or GROUP_RECORDS)

    def i2c(self):
        """Return the bus of the configuration's `i2c` entry, as Adafruit's drivers want it."""
        bus = self._config["i2c"]
        return I2C(
            machine.I2C(bus["id"], scl=machine.Pin(bus["scl"]), sda=machine.Pin(bus["sda"]), freq=bus["frequency_hz"])
        )

    def output(self, gpio, level):
        """Return an output pin that starts at `level` without a glitch."""
        return machine.Pin(gpio, machine.Pin.OUT, value=level)

    def input(self, gpio):
        """Return an input pin."""
        return machine.Pin(gpio, machine.Pin.IN)

    def pwm(self, gpio):
        """Return a PWM pin that starts low."""
        from fieldpost.ports.analog import PwmPin  # takes memory, and few boards need it

        return PwmPin(gpio)

    def adc(self, gpio):
        """Return a pin that measures. ValueError if the chip cannot measure there."""
        from fieldpost.ports.analog import AdcPin

        return AdcPin(gpio)

    def settings_store(self):
        """Return where settings are kept that were changed from afar (see stored_text)."""
        return StoredText("/settings.json")

    def stored(self, name):
        """Return where a small text is kept through restarts (see stored_text)."""
        return StoredText("/%s.json" % name)

    def last_failure(self):
        """Return what ended the agent last (see main.py), in one line, or None if nothing has."""
        try:
            with open("/last_error.txt") as file:
                return file.read(2_000).strip().split("\n")[-1][:_FAILURE_CHARS_MAX]
        except (OSError, ValueError):
            return None

    def watchdog(self):
        """Start the hardware watchdog; it cannot be stopped again. Returns an object with feed()."""
        return machine.WDT(timeout=self._config["watchdog_ms"])

    def ask_time_ms(self):
        """Ask the next time server; return UTC in ms since 1970, None while that goes on; see ports.time_server.

        OSError if it does not answer.
        """
        from fieldpost.ports import time_server

        utc_ms = 0
        try:
            if self._time_question is None:
                hosts = self._config["ntp_hosts"]
                self._ntp_host = (self._ntp_host + 1) % len(hosts)
                self._time_question = time_server.TimeQuestion(hosts[self._ntp_host])
            utc_ms = self._time_question.answer_ms()
        finally:
            if utc_ms is not None:  # it has been answered, or cannot be
                self._time_question = None
                time_server.put_away()
        return utc_ms

    def set_time_ms(self, utc_ms):
        """Set the machine's clock, by which its TLS library judges certificates. utc_ms: since 1970."""
        year, month, day, hour, minute, second, weekday, _ = time.gmtime(utc_ms // 1000 - _EPOCH_OFFSET_S)
        machine.RTC().datetime((year, month, day, weekday + 1, hour, minute, second, 0))

    def reset(self):
        """Restart the board."""
        machine.reset()
