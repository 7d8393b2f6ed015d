"""Desired state: levels of pins and settings that the device converges to, and what it reports of itself.

    desired    {"pins": {"relay": 1, "fan": {"duty_permille": 250}}, "settings": {"sample_interval_ms": 5000}}
    reported   {"device": {"version": "1.0", "boot": 7, ...},
                "pins": {"relay": {"value": 1, "status": "done", "version": 4}},
                "settings": {"sample_interval_ms": 5000, "status": "trial", "version": 4}}

`value` is the level that the pin has. A pin that is at its desired level already is left alone; one that is not is
set by a command like any other, and settings are an `agent.config`: with the same permissions, limits and records.
What cannot be now, such as a pin that must rest, waits until it can. Keys that mean nothing here belong to
somebody else.
"""

import json

from fieldpost.errors import Mismatch
from fieldpost.limits import (
    DESIRED_RETRY_MS,
    DESIRED_RETRY_MS_MAX,
    DESIRED_WAIT_MS,
    PIN_NAME_CHARS_MAX,
    TWIN_LEVEL_INTERVAL_MS,
    TWIN_REPORT_INTERVAL_MS,
)

WAITING = "waiting"
_REASON_CHARS_MAX = 120
_SETTINGS = "agent.config"
_VIA = "twin"


class _Wish:
    """A desired level and what came of it. status: None while its command is under way; due_ms: when to ask (again)."""

    def __init__(self, value, version):
        self.value = value
        self.version = version
        self.status = None
        self.reason = None
        self.due_ms = 0
        self.delay_ms = DESIRED_RETRY_MS
        self.is_final = False  # whether no other moment could change the answer
        self.shown = None  # the level that was reported


class Desired:
    """The model behind a twin. commands, settings, outputs: see those modules. pins: the configuration's.

    facts(): a dict that tells of the device as it is now.
    """

    def __init__(self, commands, outputs, pins, settings, facts):
        self._commands = commands
        self._outputs = outputs
        self._pins = pins
        self._settings = settings
        self._facts = facts
        self._wishes = {}  # by pin
        self._gone = []  # pins that are desired no longer, until that is reported
        self._settings_seen = -1
        self._is_changed = True
        self._now_ms = 0
        self._next_report_ms = 0
        self._next_level_ms = 0

    def connected(self):
        """A new connection: report everything, and let every pin converge again."""
        self._is_changed = True
        for wish in self._wishes.values():
            if not wish.is_final and wish.status is not None:
                wish.due_ms = 0

    def take(self, desired):
        """Take the whole of the desired properties (dict)."""
        version = desired.get("$version", 0)
        wanted = desired.get("pins")
        if not isinstance(wanted, dict):
            wanted = {}
        for name in list(self._wishes):
            if name not in wanted:
                del self._wishes[name]
                self._gone.append(name)
        for name in wanted:
            wish = self._wishes.get(name)
            if wish is not None and wish.value == wanted[name]:
                if wish.version != version and not wish.is_final:
                    wish.due_ms = 0
                wish.version = version
            elif len(name) <= PIN_NAME_CHARS_MAX:
                self._wishes[name] = _Wish(wanted[name], version)
        if "settings" in desired and self._settings.is_news(desired["settings"], version):
            token = self, (None, None, version)
            self._commands.submit("", _SETTINGS, desired["settings"], None, token, None, _VIA)
        self._converge_due()
        self._is_changed = True

    def finished(self, asked, status, answer):
        """The command for one pin, or for the settings (name None), is finished."""
        name, wish, version = asked
        reason = None
        if status != "done" and answer:
            reason = json.loads(answer).get("result", {}).get("reason", "")[:_REASON_CHARS_MAX]
        if name is None:
            if status == "done":
                self._settings.named(version)
            else:
                self._settings.refused(reason, version)
        else:
            wish.status = status
            wish.reason = reason
            if status != "done" and not wish.is_final:
                wish.due_ms = self._now_ms + wish.delay_ms
                wish.delay_ms = min(2 * wish.delay_ms, DESIRED_RETRY_MS_MAX)
        self._is_changed = True

    def report(self, now_ms):
        """Let pins converge; return what is to be reported now (JSON, bytes), or None."""
        self._now_ms = now_ms
        self._converge_due()
        if now_ms >= self._next_level_ms:
            self._next_level_ms = now_ms + TWIN_LEVEL_INTERVAL_MS
            for name, wish in self._wishes.items():
                if wish.status is not None and wish.shown != self._level(name):
                    self._is_changed = True
        if not self._is_changed and self._settings.revision == self._settings_seen and now_ms < self._next_report_ms:
            return None
        self._is_changed = False
        self._settings_seen = self._settings.revision
        self._next_report_ms = now_ms + TWIN_REPORT_INTERVAL_MS
        found = {"device": self._facts(), "pins": self._pins_reported(), "settings": self._settings.status()}
        return json.dumps(found).encode()

    def _pins_reported(self):
        # Reports are merged (RFC 7396): what no longer holds goes away by being null.
        found = {name: None for name in self._gone}
        self._gone = []
        for name, wish in self._wishes.items():
            if wish.status is not None:
                wish.shown = self._level(name)
                found[name] = {
                    "value": wish.shown,
                    "status": wish.status,
                    "version": wish.version,
                    "reason": wish.reason,
                }
        return found

    def _level(self, name):
        pin = self._pins.get(name)
        if pin is None or pin["direction"] == "adc":
            return None
        level = self._outputs.level(name)
        if pin["direction"] != "pwm":
            return level
        return {"duty_permille": level[0], "frequency_hz": level[1]} if level else {"duty_permille": 0}

    def _converge_due(self):
        for name, wish in self._wishes.items():
            if wish.due_ms is not None and self._now_ms >= wish.due_ms:
                self._converge(name, wish)

    def _converge(self, name, wish):
        value = wish.value
        if isinstance(value, dict):
            word = "pwm.set"
            arguments = dict(value)
        else:
            word = "gpio.set"
            arguments = {"value": value}
        arguments["pin"] = name
        # What no moment can make right is asked once, for its answer and its record.
        wish.is_final = self._commands.objection(word, arguments) is not None
        if not wish.is_final and word == "gpio.set":
            if self._outputs.level(name) == value:
                self._settle(wish, "done", None, None)
                return
            try:
                self._outputs.check(name, value, self._now_ms)
            except Mismatch as mismatch:
                self._settle(wish, WAITING, str(mismatch), self._now_ms + DESIRED_WAIT_MS)
                return
        wish.due_ms = None
        if not self._commands.submit("", word, arguments, None, (self, (name, wish, None)), None, _VIA):
            wish.due_ms = self._now_ms + DESIRED_WAIT_MS  # the queue is full

    def _settle(self, wish, status, reason, due_ms):
        if wish.status != status:
            self._is_changed = True
            wish.reason = reason  # of the first refusal: how long it takes still is no news each second
        wish.status = status
        wish.due_ms = due_ms
