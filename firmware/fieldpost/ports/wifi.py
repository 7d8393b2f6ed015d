"""Joining Wi-Fi, and joining again, without ever waiting.

ESP32 joins again by itself and raises if connect() is called while it does (MicroPython issue 17661);
the Pico W never does, and its status can stay where it was (issues in pico-sdk 2316 and 1373). So: one
attempt has a deadline, then the radio is disconnected and asked anew, and after some attempts switched
off and on.
"""

import network

from fieldpost.compat import ticks_diff
from fieldpost.limits import WIFI_ATTEMPTS_BEFORE_RESTART, WIFI_JOIN_MS_MAX, WIFI_PAUSE_MS


class Wifi:
    """The networks of the configuration, tried in order. `step` often; `is_up` tells."""

    def __init__(self, networks, passwords, reconnects_by_itself):
        self._networks = networks
        self._passwords = passwords
        self._reconnects = reconnects_by_itself
        self._wlan = network.WLAN(network.STA_IF)
        self._next_network = 0
        self._attempts = 0
        self._since = None  # ticks of the last thing asked of the radio
        self._joining = False

    @property
    def is_up(self):
        """Whether the board has an address. Says nothing of the world behind: the link's pings do."""
        return self._wlan.isconnected()

    def step(self, ticks):
        """Do what is due; never blocks."""
        if self._wlan.isconnected():
            self._attempts = 0
            self._joining = False
            self._since = ticks
            return
        if not self._wlan.active():
            self._wlan.active(True)
            # Power saving of the radio costs seconds of latency and drops links.
            self._wlan.config(pm=network.WLAN.PM_NONE)
        waited_ms = WIFI_JOIN_MS_MAX if self._since is None else ticks_diff(ticks, self._since)
        if self._joining and waited_ms >= WIFI_JOIN_MS_MAX:
            self._wlan.disconnect()
            self._joining = False
            self._since = ticks
            if self._attempts % WIFI_ATTEMPTS_BEFORE_RESTART == 0:
                self._wlan.active(False)
        elif not self._joining and waited_ms >= (WIFI_JOIN_MS_MAX if self._had_link() else WIFI_PAUSE_MS):
            self._join(ticks)

    def _had_link(self):
        return self._attempts == 0 and self._reconnects

    def _join(self, ticks):
        ssid = self._networks[self._next_network]["ssid"]
        self._next_network = (self._next_network + 1) % len(self._networks)
        self._attempts += 1
        self._joining = True
        self._since = ticks
        try:
            self._wlan.connect(ssid, self._passwords.get(ssid))
        except OSError:
            # Still busy with the last attempt: the deadline disconnects it.
            pass
