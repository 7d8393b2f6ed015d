"""Raspberry Pi: Blinka for pins and bus, a file for the ring, the system's own clock and network."""

import os
import socket
import sys
import time

from fieldpost.ports.file_region import FileRegion


class Port:
    """The hardware of a Raspberry Pi."""

    def __init__(self, config, identity):
        self._config = config
        self.network = _SystemNetwork()

    def region(self):
        """Return the region of the configuration's `ring.path`."""
        ring = self._config["ring"]
        return FileRegion(ring["path"], ring["sectors"], ring["group_records"] or 1)

    def i2c(self):
        """Return Blinka's bus on the header's SDA and SCL."""
        import board

        return board.I2C()

    def output(self, gpio, level):
        """Return an output pin that starts at `level`."""
        import digitalio

        pin = _pin(gpio)
        pin.switch_to_output(bool(level), digitalio.DriveMode.PUSH_PULL)
        return _Level(pin)

    def input(self, gpio):
        """Return an input pin."""
        pin = _pin(gpio)
        pin.switch_to_input()
        return _Level(pin)

    def watchdog(self):
        """Return what feeds systemd's watchdog, if this runs under one."""
        return _SystemdWatchdog(os.environ.get("NOTIFY_SOCKET"))

    def ask_time_ms(self):
        """Return UTC in ms since 1970, as the system keeps it."""
        return time.time_ns() // 1_000_000

    def reset_cause(self):
        """A service does not learn why the machine was started."""
        return "unknown"

    def reset(self):
        """End the process: systemd starts it again."""
        sys.exit(1)


class _SystemNetwork:
    """The system joins networks by itself; whether the hub can be reached, the link finds out."""

    is_up = True

    def step(self, ticks):
        pass


class _Level:
    """A digitalio pin that is asked like a machine.Pin."""

    def __init__(self, pin):
        self._pin = pin

    def value(self, level=None):
        if level is None:
            return int(self._pin.value)
        self._pin.value = bool(level)


class _SystemdWatchdog:
    """sd_notify(3): one datagram for each feeding, READY with the first."""

    def __init__(self, address):
        self._socket = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.connect("\0" + address[1:] if address[0] == "@" else address)
            self._socket.send(b"READY=1")

    def feed(self):
        if self._socket is not None:
            self._socket.send(b"WATCHDOG=1")


def _pin(gpio):
    import board
    import digitalio

    return digitalio.DigitalInOut(getattr(board, "D%d" % gpio))
