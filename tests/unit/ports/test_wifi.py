"""Joining Wi-Fi with radios that behave as those of each port do."""

import sys

from fieldpost import modules
from fieldpost.limits import (
    WIFI_ATTEMPTS_BEFORE_RESTART,
    WIFI_JOIN_MS_MAX,
    WIFI_PAUSE_MS_MAX,
    WIFI_STUCK_ATTEMPTS,
)

NETWORKS = [{"ssid": "barn"}, {"ssid": "shed"}]
PASSWORDS = {"barn": "one", "shed": "two"}
JOIN_MS = 3_000


class Radio:
    """What both have in common. in_range: ssid to password; calls: what was asked of it, in order."""

    PM_NONE = 0
    is_hung = False

    def __init__(self):
        self.in_range = {"barn": "one", "shed": "two"}
        self.calls = []
        self.now = 0
        self.power = False
        self.pm = None
        self.asked = None
        self.asked_at = 0
        self.address = None

    def active(self, wanted=None):
        if wanted is None:
            return self.power
        if not wanted:
            self.asked = self.pm = None
            self.calls.append("off")
        self.power = wanted
        return None

    def config(self, **settings):
        assert self.power, "power saving can only be set while the radio is on"
        self.pm = settings["pm"]

    def connect(self, ssid, key):
        assert self.power
        self._refuse_if_busy()
        self.calls.append(ssid)
        self.asked = ssid, key
        self.asked_at = self.now

    def disconnect(self):
        self.asked = None

    def ifconfig(self, setting):
        self.address = setting

    def isconnected(self):
        return self.status() == self.UP

    def lose(self, ssid):
        """The access point goes out of range."""
        del self.in_range[ssid]

    def status(self):
        if self.asked is None:
            return self.IDLE
        ssid, key = self.asked
        if self.is_hung or self.now - self.asked_at < JOIN_MS:
            return self.JOINING
        if ssid not in self.in_range:
            return self._nothing_there()
        return self.UP if self.in_range[ssid] == key else self.REFUSED


class Esp32(Radio):
    """Joins again by itself for ever; raises if it is told to while it does."""

    IDLE, JOINING, UP, REFUSED = 1000, 1001, 1010, 202
    reconnects = True

    def _refuse_if_busy(self):
        if self.status() in (self.JOINING, self.UP):
            raise OSError("Wifi Internal Error")

    def _nothing_there(self):
        return self.JOINING


class PicoW(Radio):
    """Never joins again by itself; its status stays where it was."""

    IDLE, JOINING, UP, REFUSED = 0, 1, 3, -3
    reconnects = False

    def __init__(self):
        super().__init__()
        self.was_lost = False

    def _refuse_if_busy(self):
        self.was_lost = False

    def _nothing_there(self):
        return -2

    def deinit(self):
        self.calls.append("deinit")

    def lose(self, ssid):
        super().lose(ssid)
        self.was_lost = True

    def status(self):
        status = super().status()
        return self.IDLE if status == self.UP and self.was_lost else status


class Network:
    """The module, with its class WLAN."""

    STA_IF = 0
    PM_NONE = 0

    def __init__(self, radio):
        self.WLAN = self
        self._radio = radio

    def __call__(self, interface):
        return self._radio


def is_loaded():
    return "fieldpost.ports.wifi_joining" in sys.modules


def world(kind, networks=NETWORKS):
    """Return (radio, wifi, run); the module `network` is the radio's while Wifi is made."""
    radio = kind()
    real = sys.modules.get("network")
    fake = Network(radio)
    sys.modules["network"] = fake
    try:
        modules.unload("fieldpost.ports.wifi")
        modules.unload("fieldpost.ports.wifi_joining")
        from fieldpost.ports import wifi, wifi_joining

        assert wifi_joining.UP == wifi.UP
    finally:
        if real is None:
            del sys.modules["network"]
        else:
            sys.modules["network"] = real
    made = wifi.Wifi(networks, PASSWORDS, kind.reconnects)

    def run(ms):
        end = radio.now + ms
        while radio.now < end:
            radio.now += 100
            made.step(radio.now)

    return radio, made, run


def both(check):
    for kind in (Esp32, PicoW):
        check(kind)


def test_the_first_network_is_joined_and_power_is_not_saved():
    def check(kind):
        radio, wifi, run = world(kind)
        run(JOIN_MS + 1_000)
        assert wifi.is_up and wifi.trouble == "" and radio.calls == ["barn"] and radio.pm == 0
        run(100)
        assert not is_loaded(), "what joins has done its work"
        radio.lose("barn")
        run(100)
        assert is_loaded()

    both(check)


def test_the_next_network_is_tried_and_the_one_that_works_is_kept():
    def check(kind):
        radio, wifi, run = world(kind)
        del radio.in_range["barn"]
        run(WIFI_JOIN_MS_MAX + 2 * JOIN_MS + 5_000)
        assert wifi.is_up and radio.calls == ["barn", "shed"]
        # It goes and comes back: no search through the others first.
        radio.lose("shed")
        run(200)
        assert not wifi.is_up and wifi.trouble == "network shed is lost"
        radio.in_range["shed"] = "two"
        run(2 * JOIN_MS + 5_000)
        assert wifi.is_up and set(radio.calls[2:]) <= {"shed"}

    both(check)


def test_a_pico_joins_again_because_it_is_told_to():
    radio, wifi, run = world(PicoW)
    run(JOIN_MS + 1_000)
    radio.lose("barn")
    radio.in_range["barn"] = "one"
    run(JOIN_MS + 3_000)
    assert wifi.is_up and radio.calls == ["barn", "barn"]


def test_an_esp32_is_let_join_again_by_itself():
    radio, wifi, run = world(Esp32)
    run(JOIN_MS + 1_000)
    radio.lose("barn")
    run(5_000)
    radio.in_range["barn"] = "one"
    run(1_000)
    assert wifi.is_up and radio.calls == ["barn"], "it was not told to, which would have raised"


def test_a_radio_that_is_busy_is_disconnected_first():
    radio, wifi, run = world(Esp32)
    radio.power = True
    radio.connect("another", "x")  # what a soft reset left under way
    radio.calls.clear()
    run(JOIN_MS + 1_000)
    assert wifi.is_up and radio.calls == ["barn"]


def test_a_wrong_password_is_told_and_not_tried_in_haste():
    def check(kind):
        radio, wifi, run = world(kind, [{"ssid": "barn"}])
        radio.in_range["barn"] = "changed"
        run(JOIN_MS + 1_000)
        assert wifi.trouble == "network barn refuses its password"
        run(10 * 60_000)
        attempts = radio.calls.count("barn")
        assert 10 < attempts < 10 * 60_000 // JOIN_MS // 2 and not wifi.is_stuck
        assert radio.calls.count("off") == attempts // WIFI_ATTEMPTS_BEFORE_RESTART
        radio.in_range["barn"] = "one"
        run(WIFI_PAUSE_MS_MAX + JOIN_MS + 2_000)
        assert wifi.is_up and wifi.trouble == ""

    both(check)


def test_a_radio_that_hangs_is_switched_off_and_on_and_in_the_end_given_up():
    radio, wifi, run = world(PicoW)
    radio.is_hung = True
    run(WIFI_ATTEMPTS_BEFORE_RESTART * (WIFI_JOIN_MS_MAX + WIFI_PAUSE_MS_MAX))
    assert "off" in radio.calls and "deinit" in radio.calls and not wifi.is_stuck
    assert radio.pm == 0 or not radio.power, "switched on again, power is not saved again"
    run(WIFI_STUCK_ATTEMPTS * (WIFI_JOIN_MS_MAX + WIFI_PAUSE_MS_MAX))
    assert wifi.is_stuck
    radio.is_hung = False
    run(WIFI_PAUSE_MS_MAX + JOIN_MS + 2_000)
    assert wifi.is_up and not wifi.is_stuck


def test_an_access_point_that_is_away_for_days_resets_nothing():
    def check(kind):
        radio, wifi, run = world(kind)
        radio.in_range.clear()
        run(2 * 3_600_000)
        assert not wifi.is_stuck and "range" in wifi.trouble

    both(check)


def test_a_static_address_is_set_for_its_network_alone():
    static = {
        "ssid": "barn",
        "address": "10.0.0.9",
        "netmask": "255.255.255.0",
        "gateway": "10.0.0.1",
        "dns": "9.9.9.9",
    }

    def check(kind):
        radio, wifi, run = world(kind, [static, {"ssid": "shed"}])
        run(JOIN_MS + 1_000)
        assert wifi.is_up and radio.address == ("10.0.0.9", "255.255.255.0", "10.0.0.1", "9.9.9.9")
        radio.lose("barn")
        run(2 * WIFI_JOIN_MS_MAX + 2 * JOIN_MS + 5_000)
        assert wifi.is_up and radio.address == "dhcp"

    both(check)
