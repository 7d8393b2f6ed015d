# Wi-Fi with the habits of each port: the codes of its status, who joins again, what raises.

import time

import _wire
from micropython import const

STA_IF = 0
AP_IF = 1

_ACCESS_POINT = const(0)
_RADIO = const(1)
_LOSSES = const(2)
_JOINED_MS = const(32)
_JOINED_LOSSES = const(40)
_OFF = const(0)
_ON = const(1)
_ASKED = const(2)
_JOIN_MS = const(200)

_esp32 = _wire.port == "esp32"
if _esp32:
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
    STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 201, 202
else:
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 0, 1, 3
    STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, STAT_CONNECT_FAIL = -2, -3, -1

_names = {"hostname": "mpy-esp32" if _esp32 else "PicoW", "country": "XX"}


def hostname(name=None):
    return _name("hostname", name)


def country(code=None):
    return _name("country", code)


def _name(key, value):
    if value is None:
        return _names[key]
    _names[key] = value


class WLAN:
    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0 if _esp32 else 0xA11140
    PM_PERFORMANCE = 1 if _esp32 else 0xA11142
    PM_POWERSAVE = 2 if _esp32 else 0xA11C82

    def __init__(self, interface=0):
        self._config = {"pm": self.PM_PERFORMANCE, "reconnects": -1, "ssid": ""}

    def active(self, wanted=None):
        if wanted is None:
            return _wire.get(_RADIO) != _OFF
        if not wanted:
            _wire.put(_RADIO, _OFF)
        elif not self.active():
            _wire.put(_RADIO, _ON)

    def connect(self, ssid=None, key=None, **options):
        if not self.active():
            raise OSError("Wifi Not Started" if _esp32 else 1)
        if _esp32 and self.status() == STAT_CONNECTING:
            raise OSError("Wifi Internal State Error")
        if ssid is not None:
            self._config["ssid"] = ssid
        _wire.put(_RADIO, _ASKED)
        _wire.put_i64(_JOINED_MS, time.ticks_ms())
        _wire.put_u16(_JOINED_LOSSES, _wire.get_u16(_LOSSES))

    def disconnect(self):
        if self.active():
            _wire.put(_RADIO, _ON)

    def deinit(self):
        _wire.put(_RADIO, _OFF)

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        if what == "rssi":
            return -60
        if _wire.get(_RADIO) != _ASKED:
            return STAT_IDLE
        if not _wire.get(_ACCESS_POINT):
            # ESP32 keeps trying by itself, which counts as connecting.
            return STAT_CONNECTING if _esp32 else STAT_NO_AP_FOUND
        if not _esp32 and _wire.get_u16(_JOINED_LOSSES) != _wire.get_u16(_LOSSES):
            return STAT_IDLE  # a Pico W does not join again by itself
        if time.ticks_diff(time.ticks_ms(), _wire.get_i64(_JOINED_MS)) < _JOIN_MS:
            return STAT_CONNECTING
        return STAT_GOT_IP

    def config(self, what=None, **settings):
        if what is None:
            self._config.update(settings)
        elif what == "mac":
            import machine

            return machine.unique_id()[:6]
        else:
            return self._config[what]

    def ifconfig(self, setting=None):
        if self.isconnected():
            return ("192.168.4.2", "255.255.255.0", "192.168.4.1", "192.168.4.1")
        return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
