"""Joining Wi-Fi, and joining again, without ever waiting.

    off --> pause --connect--> joining --an address--> up
    joining --deadline, or the radio says no--> pause (longer each time) --> joining the next network
    every third failure --> off: the radio is switched off, and on again after a pause
    the radio has said nothing that makes sense for long --> is_stuck: only a reset of the board helps

ESP32 joins again by itself, and raises if connect() is called while it does (MicroPython issue 17661): it is
disconnected first and given time. The Pico W never joins again by itself, and its status can stay where it was
(pico-sdk issues 2316 and 1373): only the deadline helps. The first attempt after power-on often fails there.
"""

import network

from fieldpost.compat import ticks_diff
from fieldpost.limits import (
    WIFI_ATTEMPTS_BEFORE_RESTART,
    WIFI_JOIN_MS_MAX,
    WIFI_PAUSE_MS,
    WIFI_PAUSE_MS_MAX,
    WIFI_STUCK_ATTEMPTS,
)

_OFF = 0
_PAUSE = 1
_JOINING = 2
_UP = 3

# What a radio says when it works and there is nothing to join: it is not stuck. Each port has its own numbers.
_NO_NETWORK = (201, -2)
_WRONG_PASSWORD = (202, -3)
_FAILED = (200, 203, 204, 205, -1)


class Wifi:
    """The networks of the configuration, tried in order. `step` often; `is_up` tells.

    networks: dicts of ssid and perhaps address, netmask, gateway, dns. passwords: by ssid.
    trouble: why there is no network, for people; "" if there is one. is_stuck: whether only a reset will help.
    """

    def __init__(self, networks, passwords, reconnects_by_itself):
        self._networks = networks
        self._passwords = passwords
        self._reconnects = reconnects_by_itself
        self._wlan = network.WLAN(network.STA_IF)
        self._network = 0  # the one to try, or the one that was joined
        self._attempts = 0  # without success
        self._silent_attempts = 0  # in which the radio said nothing that makes sense
        self._state = _OFF
        self._since = None  # ticks of the last change
        self._pause_ms = 0
        self._has_static_address = False
        self.trouble = ""

    @property
    def is_up(self):
        """Whether the board has an address. Says nothing of the world behind: the link's pings do."""
        return self._wlan.isconnected()

    @property
    def is_stuck(self):
        """Whether the radio has not answered in many attempts, being switched off and on among them."""
        return self._silent_attempts >= WIFI_STUCK_ATTEMPTS

    def step(self, ticks):
        """Do what is due; never blocks."""
        if self._wlan.isconnected():
            if self._state != _UP:
                self._enter(_UP, ticks)
                self._attempts = self._silent_attempts = 0
                self.trouble = ""
            return
        waited_ms = 0 if self._since is None else ticks_diff(ticks, self._since)
        if self._state == _UP:
            # Lost. ESP32 is already joining again: it has the time of one attempt.
            self.trouble = "network %s is lost" % self._ssid
            self._enter(_JOINING if self._reconnects else _PAUSE, ticks)
            self._pause_ms = WIFI_PAUSE_MS
        elif self._state == _JOINING:
            self._look(ticks, waited_ms)
        elif self._state == _PAUSE and waited_ms >= self._pause_ms:
            self._join(ticks)
        elif self._state == _OFF and (self._since is None or waited_ms >= WIFI_PAUSE_MS):
            self._switch_on(ticks)

    @property
    def _ssid(self):
        return self._networks[self._network]["ssid"]

    def _switch_on(self, ticks):
        wlan = self._wlan
        wlan.active(True)
        # Power saving of the radio costs seconds of latency and drops links.
        wlan.config(pm=network.WLAN.PM_NONE)
        # After a soft reset the radio may be in the middle of something.
        self._let_go()
        self._enter(_PAUSE, ticks)
        self._pause_ms = 0

    def _join(self, ticks):
        chosen = self._networks[self._network]
        self._enter(_JOINING, ticks)
        try:
            if chosen.get("address"):
                self._wlan.ifconfig((chosen["address"], chosen["netmask"], chosen["gateway"], chosen["dns"]))
                self._has_static_address = True
            elif self._has_static_address:
                self._wlan.ifconfig("dhcp")
                self._has_static_address = False
            self._wlan.connect(chosen["ssid"], self._passwords.get(chosen["ssid"]))
        except OSError as error:
            self._failed(ticks, "the radio refuses (%s)" % error, True)

    def _look(self, ticks, waited_ms):
        status = self._wlan.status()
        if status in _NO_NETWORK:
            reason, is_silent = "network %s is not in range", False
        elif status in _WRONG_PASSWORD:
            reason, is_silent = "network %s refuses its password", False
        elif status in _FAILED:
            reason, is_silent = "network %s could not be joined", False
        elif waited_ms < WIFI_JOIN_MS_MAX:
            return
        elif self._reconnects:
            # ESP32 goes on for ever where nothing is in range, and calls that connecting.
            reason, is_silent = "network %s is not in range or does not answer", False
        else:
            reason, is_silent = "network %s does not answer", True
        self._failed(ticks, reason % self._ssid, is_silent)

    def _failed(self, ticks, reason, is_silent):
        self.trouble = reason
        self._attempts += 1
        self._silent_attempts = self._silent_attempts + 1 if is_silent else 0
        self._network = (self._network + 1) % len(self._networks)
        self._let_go()
        if self._attempts % WIFI_ATTEMPTS_BEFORE_RESTART == 0:
            self._wlan.active(False)
            deinit = getattr(self._wlan, "deinit", None)
            if deinit is not None:
                deinit()  # on the Pico W nothing less loads the radio's firmware again
            self._enter(_OFF, ticks)
            return
        self._enter(_PAUSE, ticks)
        self._pause_ms = min(WIFI_PAUSE_MS << min(self._attempts - 1, 10), WIFI_PAUSE_MS_MAX)

    def _let_go(self):
        try:
            self._wlan.disconnect()
        except OSError:
            pass  # it was not connected

    def _enter(self, state, ticks):
        self._state = state
        self._since = ticks
