"""Wi-Fi while there is one. What joins it, and joins it again, is loaded when there is none: see wifi_joining."""

import network

from fieldpost.limits import WIFI_STUCK_ATTEMPTS
from fieldpost.modules import unload

OFF = 0
PAUSE = 1
JOINING = 2
UP = 3


class Wifi:
    """The networks of the configuration, tried in order. `step` often; `is_up` tells.

    networks: dicts of ssid and perhaps address, netmask, gateway, dns. passwords: by ssid.
    trouble: why there is no network, for people; "" if there is one. is_stuck: whether only a reset will help.
    The rest is for wifi_joining.
    """

    def __init__(self, networks, passwords, reconnects_by_itself):
        self.networks = networks
        self.passwords = passwords
        self.reconnects = reconnects_by_itself
        self.wlan = network.WLAN(network.STA_IF)
        self.number = 0  # of the network to try, or of the one that was joined
        self.attempts = 0  # without success
        self.silent_attempts = 0  # in which the radio said nothing that makes sense
        self.state = OFF
        self.since = None  # ticks of the last change
        self.pause_ms = 0
        self.has_static_address = False
        self.trouble = ""

    @property
    def is_up(self):
        """Whether the board has an address. Says nothing of the world behind: the link's pings do."""
        return self.wlan.isconnected()

    @property
    def is_stuck(self):
        """Whether the radio has not answered in many attempts, being switched off and on among them."""
        return self.silent_attempts >= WIFI_STUCK_ATTEMPTS

    def step(self, ticks):
        """Do what is due; never blocks."""
        if not self.wlan.isconnected():
            try:
                from fieldpost.ports.wifi_joining import step

                step(self, ticks)
            except MemoryError:
                self.trouble = "there is no memory to join a network"
        elif self.state != UP:
            self.state = UP
            self.attempts = self.silent_attempts = 0
            self.trouble = ""
            unload("fieldpost.ports.wifi_joining")
