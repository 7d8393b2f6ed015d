"""Desired state: levels of pins and settings that the device converges to, and what it reports of itself.

    desired    {"pins": {"relay": 1, "fan": {"duty_permille": 250}}, "settings": {"sample_interval_ms": 5000}}
    reported   {"device": {"version": "1.0", "boot": 7, ...},
                "pins": {"relay": {"value": 1, "status": "done", "version": 4}},
                "settings": {"sample_interval_ms": 5000, "status": "trial", "version": 4}}

`value` is the level that the pin has. A pin that is at its desired level already is left alone; one that is not is
set by a command like any other, and settings are an `agent.config`: with the same permissions, limits and records.
What cannot be now, such as a pin that must rest, waits until it can. Keys that mean nothing here belong to
somebody else.

Loaded when something is to be done, and put away after it: what outlives that is kept by whoever loads it.

A wish is a dict of what is desired of a pin and of what came of it:
    value, version   as they are desired
    status, reason   as they are reported; None while its command is under way
    due_ms           when to ask for it (again), None while there is no reason to
    delay_ms         the pause after the next refusal
    is_final         whether no other moment could change the answer
"""

import json

from fieldpost.errors import Mismatch
from fieldpost.limits import (
    DESIRED_KEEP_MS,
    DESIRED_RETRY_MS,
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
    """The model behind a twin. commands, outputs, settings (kept_settings): see those modules.

    pins: the configuration's. facts(): a dict that tells of the device as it is now. kept: what outlives this, and is
    told when commands are finished; see hubs.azure_twin.
    """

    def __init__(self, commands, outputs, pins, settings, facts, kept):
        self._commands = commands
        self._outputs = outputs
        self._pins = pins
        self._settings = settings
        self._facts = facts
        self._kept = kept
        self._now_ms = 0

    def connected(self):
        """A new connection: report everything, and let every pin converge again."""
        self._kept.is_changed = True
        for wish in self._kept.wishes.values():
            if not wish["is_final"] and wish["status"] is not None:
                wish["due_ms"] = 0

    def take(self, desired):
        """Take the whole of the desired properties (dict); return whether there was room for all of it."""
        version = desired.get("$version", 0)
        wanted = desired.get("pins")
        if not isinstance(wanted, dict):
            wanted = {}
        wishes = self._kept.wishes
        for name in list(wishes):
            if name not in wanted:
                del wishes[name]
                self._kept.gone.append(name)
        for name in wanted:
            wish = wishes.get(name)
            if wish is not None and wish["value"] == wanted[name]:
                if wish["version"] != version and not wish["is_final"]:
                    wish["due_ms"] = 0
                wish["version"] = version
            elif len(name) <= PIN_NAME_CHARS_MAX:
                wishes[name] = _wish(wanted[name], version)
        is_taken = True
        if "settings" in desired and self._settings.open().is_news(desired["settings"], version):
            is_taken = self._submit(_SETTINGS, desired["settings"], (None, None, version))
        self._converge_due()
        self._kept.is_changed = True
        return is_taken

    def finished(self, asked, status, answer):
        """The command for one pin, or for the settings (name None), is finished."""
        self._kept.under_way -= 1
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
            wish["status"] = status
            wish["reason"] = reason
            if status != "done" and not wish["is_final"]:
                wish["due_ms"] = self._now_ms + wish["delay_ms"]
                wish["delay_ms"] = min(2 * wish["delay_ms"], DESIRED_RETRY_MS_MAX)
        self._kept.is_changed = True

    def report(self, now_ms):
        """Let pins converge; return what is to be reported now (JSON, bytes), or None."""
        self._now_ms = now_ms
        self._converge_due()
        kept = self._kept
        kept.due_ms = kept.next_report_ms
        if not kept.is_due(now_ms):
            return None
        found = {"device": self._facts(), "pins": self._pins_reported(), "settings": self._settings.open().status()}
        return json.dumps(found).encode()

    def reported(self):
        """Take note that what `report` returned is on its way."""
        kept = self._kept
        kept.gone.clear()
        kept.is_changed = False
        kept.settings_seen = self._settings.revision
        kept.next_report_ms = self._now_ms + TWIN_REPORT_INTERVAL_MS

    def is_at_rest(self, now_ms):
        """Return whether there is nothing to do now, nor soon; `kept` knows then when there will be."""
        kept = self._kept
        kept.due_ms = kept.next_report_ms
        for wish in kept.wishes.values():
            if wish["due_ms"] is not None and wish["due_ms"] < kept.due_ms:
                kept.due_ms = wish["due_ms"]
        return not kept.under_way and not kept.is_due(now_ms) and kept.due_ms - now_ms > DESIRED_KEEP_MS

    def _pins_reported(self):
        # Reports are merged (RFC 7396): what no longer holds goes away by being null.
        found = {name: None for name in self._kept.gone}
        levels = {}
        for name, wish in self._kept.wishes.items():
            if wish["status"] is not None:
                level = None
                direction = self._pins[name]["direction"] if name in self._pins else "adc"
                if direction != "adc":
                    level = levels[name] = self._outputs.level(name)
                if direction == "pwm":
                    level = {"duty_permille": level[0], "frequency_hz": level[1]} if level else {"duty_permille": 0}
                found[name] = {
                    "value": level,
                    "status": wish["status"],
                    "version": wish["version"],
                    "reason": wish["reason"],
                }
        self._kept.levels = levels
        return found

    def _converge_due(self):
        for name, wish in self._kept.wishes.items():
            if wish["due_ms"] is not None and self._now_ms >= wish["due_ms"]:
                self._converge(name, wish)

    def _converge(self, name, wish):
        value = wish["value"]
        if isinstance(value, dict):
            word = "pwm.set"
            arguments = dict(value)
        else:
            word = "gpio.set"
            arguments = {"value": value}
        arguments["pin"] = name
        # What no moment can make right is asked once, for its answer and its record.
        wish["is_final"] = self._commands.objection(word, arguments) is not None
        if not wish["is_final"] and word == "gpio.set":
            if self._outputs.level(name) == value:
                self._settle(wish, "done", None, None)
                return
            try:
                self._outputs.check(name, value, self._now_ms)
            except Mismatch as mismatch:
                self._settle(wish, WAITING, str(mismatch), self._now_ms + DESIRED_WAIT_MS)
                return
        is_taken = self._submit(word, arguments, (name, wish, None))
        wish["due_ms"] = None if is_taken else self._now_ms + DESIRED_WAIT_MS  # the queue is full

    def _submit(self, word, arguments, asked):
        is_taken = self._commands.submit("", word, arguments, None, (self._kept, asked), None, _VIA)
        if is_taken:
            self._kept.under_way += 1
        return is_taken

    def _settle(self, wish, status, reason, due_ms):
        if wish["status"] != status:
            self._kept.is_changed = True
            wish["reason"] = reason  # of the first refusal: how long it takes still is no news each second
        wish["status"] = status
        wish["due_ms"] = due_ms


def _wish(value, version):
    return {
        "value": value,
        "version": version,
        "status": None,
        "reason": None,
        "due_ms": 0,
        "delay_ms": DESIRED_RETRY_MS,
        "is_final": False,
    }
