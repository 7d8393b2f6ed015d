"""Desired state: levels of pins and settings that the device converges to, and what it reports of itself.

    desired    {"pins": {"relay": 1, "fan": {"duty_permille": 250}}, "settings": {"sample_interval_ms": 5000}}
    reported   {"device": {"version": "1.0", "boot": 7, ...},
                "pins": {"relay": {"value": 1, "status": "done", "version": 4}},
                "settings": {"sample_interval_ms": 5000, "status": "trial", "version": 4}}

`value` is the level that the pin has. A pin that is at its desired level already is left alone; one that is not is
set by a command like any other, and settings are an `agent.config`: with the same permissions, limits and records.
What cannot be now, such as a pin that must rest, waits until it can. Keys that mean nothing here belong to
somebody else.

Loaded when something is to be done, see hubs.azure_twin; what outlives that is kept in wishes.
"""

import json

from fieldpost.commands.wishes import Wish
from fieldpost.errors import Mismatch
from fieldpost.limits import (
    DESIRED_RETRY_MS_MAX,
    DESIRED_WAIT_MS,
    PIN_NAME_CHARS_MAX,
    TWIN_REPORT_INTERVAL_MS,
)

WAITING = "waiting"
_REASON_CHARS_MAX = 120
_SETTINGS = "agent.config"
_VIA = "twin"


class Desired:
    """The model behind a twin. commands, outputs, settings (kept_settings), wishes: see those modules.

    pins: the configuration's. facts(): a dict that tells of the device as it is now.
    """

    def __init__(self, commands, outputs, pins, settings, facts, wishes):
        self._commands = commands
        self._outputs = outputs
        self._pins = pins
        self._settings = settings
        self._facts = facts
        self._wishes = wishes
        self._now_ms = 0

    def take(self, desired):
        """Take the whole of the desired properties (dict); return whether there was room for all of it."""
        version = desired.get("$version", 0)
        wanted = desired.get("pins")
        if not isinstance(wanted, dict):
            wanted = {}
        wishes = self._wishes.by_pin
        for name in list(wishes):
            if name not in wanted:
                del wishes[name]
                self._wishes.gone.append(name)
        for name in wanted:
            wish = wishes.get(name)
            if wish is not None and wish.value == wanted[name]:
                if wish.version != version and not wish.is_final:
                    wish.due_ms = 0
                wish.version = version
            elif len(name) <= PIN_NAME_CHARS_MAX:
                wishes[name] = Wish(wanted[name], version)
        is_taken = True
        if "settings" in desired and self._settings.open().is_news(desired["settings"], version):
            is_taken = self._submit(_SETTINGS, desired["settings"], (None, None, version))
        self._converge_due()
        self._wishes.is_changed = True
        return is_taken

    def finished(self, asked, status, answer):
        """The command for one pin, or for the settings (name None), is finished."""
        self._wishes.under_way -= 1
        name, wish, version = asked
        reason = None
        try:
            if status != "done" and answer:
                reason = json.loads(answer).get("result", {}).get("reason", "")[:_REASON_CHARS_MAX]
        except MemoryError:
            pass  # what came of it is told without the reason
        if name is None:
            settings = self._settings.open()
            if status == "done":
                settings.named(version)
            else:
                settings.refused(reason, version)
        else:
            wish.status = status
            wish.reason = reason
            if status != "done" and not wish.is_final:
                wish.due_ms = self._now_ms + wish.delay_ms
                wish.delay_ms = min(2 * wish.delay_ms, DESIRED_RETRY_MS_MAX)
        self._wishes.is_changed = True

    def report(self, now_ms):
        """Let pins converge; return what is to be reported now (JSON, bytes), or None."""
        self._now_ms = now_ms
        self._converge_due()
        if not self._wishes.has_news(now_ms):
            return None
        found = {"device": self._facts(), "pins": self._pins_reported(), "settings": self._settings.open().status()}
        return json.dumps(found).encode()

    def reported(self):
        """Take note that what `report` returned is on its way."""
        wishes = self._wishes
        wishes.gone.clear()
        wishes.is_changed = False
        wishes.settings_seen = self._settings.revision
        wishes.next_report_ms = self._now_ms + TWIN_REPORT_INTERVAL_MS

    def is_at_rest(self, now_ms):
        """Return whether there is nothing to do now, nor soon."""
        return self._wishes.is_at_rest(now_ms)

    def _pins_reported(self):
        # Reports are merged (RFC 7396): what no longer holds goes away by being null.
        found = {name: None for name in self._wishes.gone}
        for name, wish in self._wishes.by_pin.items():
            if wish.status is not None:
                wish.shown = self._wishes.level(name)
                found[name] = {
                    "value": self._shown(name, wish.shown),
                    "status": wish.status,
                    "version": wish.version,
                    "reason": wish.reason,
                }
        return found

    def _shown(self, name, level):
        if level is None or self._pins[name]["direction"] != "pwm":
            return level
        return {"duty_permille": level[0], "frequency_hz": level[1]} if level else {"duty_permille": 0}

    def _converge_due(self):
        for name, wish in self._wishes.by_pin.items():
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
        if not self._submit(word, arguments, (name, wish, None)):
            wish.due_ms = self._now_ms + DESIRED_WAIT_MS  # the queue is full

    def _submit(self, word, arguments, asked):
        is_taken = self._commands.submit("", word, arguments, None, (self._wishes.channel, asked), None, _VIA)
        if is_taken:
            self._wishes.under_way += 1
        return is_taken

    def _settle(self, wish, status, reason, due_ms):
        if wish.status != status:
            self._wishes.is_changed = True
            wish.reason = reason  # of the first refusal: how long it takes still is no news each second
        wish.status = status
        wish.due_ms = due_ms
