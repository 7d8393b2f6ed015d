"""Desired state: levels of pins and settings that the device converges to, and what it reports of itself.

    desired    {"pins": {"relay": 1, "fan": {"duty_permille": 250}}, "settings": {"sample_interval_ms": 5000}}
    reported   {"device": {"version": "1.0", "boot": 7, ...},
                "pins": {"relay": {"value": 1, "status": "done", "version": 4}},
                "settings": {"sample_interval_ms": 5000, "status": "trial", "version": 4}}

A pin that is at its desired level already is left alone; one that is not is set by a command like any other, with
the same permissions, limits and answer. Keys that mean nothing here belong to somebody else.
"""

import json

from fieldpost.limits import PIN_NAME_CHARS_MAX, TWIN_REPORT_INTERVAL_MS

_REASON_CHARS_MAX = 120


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
        self._reports = {}  # by pin: what came of its desired level
        self._asked = {}  # by pin: (desired value, version), once it was asked for
        self._settings_seen = None
        self._is_changed = True
        self._next_report_ms = 0

    def connected(self):
        """A new connection: report everything, and let every pin converge again."""
        self._is_changed = True
        self._asked.clear()

    def take(self, desired):
        """Take the whole of the desired properties (dict)."""
        version = desired.get("$version", 0)
        wanted = desired.get("pins")
        if isinstance(wanted, dict):
            for name in wanted:
                self._converge(name, wanted[name], version)
        settings = desired.get("settings")
        if isinstance(settings, dict):
            self._settings.ask(settings, version)
        self._is_changed = True

    def finished(self, asked, status, answer):
        """The command for one pin is finished."""
        name, value, version = asked
        # Reports are merged (RFC 7396): a reason that no longer holds goes away by being null.
        found = {"value": value, "status": status, "version": version, "reason": None}
        if status != "done" and answer:
            found["reason"] = json.loads(answer).get("result", {}).get("reason", "")[:_REASON_CHARS_MAX]
        self._reports[name] = found
        self._is_changed = True

    def report(self, now_ms):
        """Return what is to be reported now (JSON, bytes), or None."""
        status = self._settings.status()
        if not self._is_changed and status == self._settings_seen and now_ms < self._next_report_ms:
            return None
        self._is_changed = False
        self._settings_seen = status
        self._next_report_ms = now_ms + TWIN_REPORT_INTERVAL_MS
        return json.dumps({"device": self._facts(), "pins": self._reports, "settings": status}).encode()

    def _converge(self, name, value, version):
        key = (str(value), version)
        if self._asked.get(name) == key or len(name) > PIN_NAME_CHARS_MAX:
            return
        self._asked[name] = key
        pin = self._pins.get(name)
        if isinstance(value, dict):
            word = "pwm.set"
            arguments = dict(value)
        else:
            word = "gpio.set"
            arguments = {"value": value}
            if pin is not None and pin["direction"] == "output" and self._outputs.get(name) == value:
                self._reports[name] = {"value": value, "status": "done", "version": version, "reason": None}
                return
        arguments["pin"] = name
        if not self._commands.submit("", word, arguments, None, (self, (name, value, version))):
            del self._asked[name]  # the queue is full: with the next notice or connection
