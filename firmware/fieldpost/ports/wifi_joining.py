"""Joining Wi-Fi, and joining again, without ever waiting.

    off --> pause --connect--> joining --an address--> up
    joining --deadline, or the radio says no--> pause (longer each time) --> joining the next network
    every third failure --> off: the radio is switched off, and on again after a pause
    the radio has said nothing that makes sense for long --> is_stuck: only a reset of the board helps

ESP32 joins again by itself, and raises if connect() is called while it does (MicroPython issue 17661): it is
disconnected first and given time. The Pico W never joins again by itself, and its status can stay where it was
(pico-sdk issues 2316 and 1373): only the deadline helps. The first attempt after power-on often fails there.
"""

from fieldpost.compat import ticks_diff
from fieldpost.limits import (
    WIFI_ATTEMPTS_BEFORE_RESTART,
    WIFI_JOIN_MS_MAX,
    WIFI_PAUSE_MS,
    WIFI_PAUSE_MS_MAX,
)
from fieldpost.ports.wifi import JOINING, OFF, PAUSE, UP

# What a radio says when it works and there is nothing to join: it is not stuck. Each port has its own numbers.
_NO_NETWORK = (201, -2)
_WRONG_PASSWORD = (202, -3)
_FAILED = (200, 203, 204, 205, -1)


def step(wifi, ticks):
    """Do what is due for a Wifi that is not connected."""
    waited_ms = 0 if wifi.since is None else ticks_diff(ticks, wifi.since)
    if wifi.state == UP:
        # Lost. ESP32 is already joining again: it has the time of one attempt.
        wifi.trouble = "network %s is lost" % _ssid(wifi)
        _enter(wifi, JOINING if wifi.reconnects else PAUSE, ticks)
        wifi.pause_ms = WIFI_PAUSE_MS
    elif wifi.state == JOINING:
        _look(wifi, ticks, waited_ms)
    elif wifi.state == PAUSE and waited_ms >= wifi.pause_ms:
        _join(wifi, ticks)
    elif wifi.state == OFF and (wifi.since is None or waited_ms >= WIFI_PAUSE_MS):
        _switch_on(wifi, ticks)


def _ssid(wifi):
    return wifi.networks[wifi.number]["ssid"]


def _switch_on(wifi, ticks):
    wlan = wifi.wlan
    wlan.active(True)
    # Power saving of the radio costs seconds of latency and drops links.
    wlan.config(pm=wlan.PM_NONE)
    # After a soft reset the radio may be in the middle of something.
    _let_go(wlan)
    _enter(wifi, PAUSE, ticks)
    wifi.pause_ms = 0


def _join(wifi, ticks):
    chosen = wifi.networks[wifi.number]
    _enter(wifi, JOINING, ticks)
    try:
        if chosen.get("address"):
            wifi.wlan.ifconfig((chosen["address"], chosen["netmask"], chosen["gateway"], chosen["dns"]))
            wifi.has_static_address = True
        elif wifi.has_static_address:
            wifi.wlan.ifconfig("dhcp")
            wifi.has_static_address = False
        wifi.wlan.connect(chosen["ssid"], wifi.passwords.get(chosen["ssid"]))
    except OSError as error:
        _failed(wifi, ticks, "the radio refuses (%s)" % error, True)


def _look(wifi, ticks, waited_ms):
    status = wifi.wlan.status()
    if status in _NO_NETWORK:
        reason, is_silent = "network %s is not in range", False
    elif status in _WRONG_PASSWORD:
        reason, is_silent = "network %s refuses its password", False
    elif status in _FAILED:
        reason, is_silent = "network %s could not be joined", False
    elif waited_ms < WIFI_JOIN_MS_MAX:
        return
    elif wifi.reconnects:
        # ESP32 goes on for ever where nothing is in range, and calls that connecting.
        reason, is_silent = "network %s is not in range or does not answer", False
    else:
        reason, is_silent = "network %s does not answer", True
    _failed(wifi, ticks, reason % _ssid(wifi), is_silent)


def _failed(wifi, ticks, reason, is_silent):
    wifi.trouble = reason
    wifi.attempts += 1
    wifi.silent_attempts = wifi.silent_attempts + 1 if is_silent else 0
    wifi.number = (wifi.number + 1) % len(wifi.networks)
    _let_go(wifi.wlan)
    if wifi.attempts % WIFI_ATTEMPTS_BEFORE_RESTART == 0:
        wifi.wlan.active(False)
        deinit = getattr(wifi.wlan, "deinit", None)
        if deinit is not None:
            deinit()  # on the Pico W nothing less loads the radio's firmware again
        _enter(wifi, OFF, ticks)
        return
    _enter(wifi, PAUSE, ticks)
    wifi.pause_ms = min(WIFI_PAUSE_MS << min(wifi.attempts - 1, 10), WIFI_PAUSE_MS_MAX)


def _let_go(wlan):
    try:
        wlan.disconnect()
    except OSError:
        pass  # it was not connected


def _enter(wifi, state, ticks):
    wifi.state = state
    wifi.since = ticks
