"""Settings that can be changed while the device is out there, on trial until it has proved healthy with them.

    ask -> stored as trial -> applied -> healthy for TRIAL_MS_MIN -> stored as good
                                      -> not healthy within TRIAL_MS_MAX, or restarted too often -> rolled back

A rolled back version is not tried again. The file is replaced as a whole: it holds the old state or the new one.
"""

import json

from fieldpost.limits import (
    BATCH_RECORDS_MAX,
    QUANTITY_NAME_CHARS_MAX,
    SAMPLE_MS_MAX,
    SAMPLE_MS_MIN,
    TRIAL_BOOTS_MAX,
    TRIAL_MS_MAX,
    TRIAL_MS_MIN,
)
from fieldpost.shapes import Fields, Integer, MapOf, Mismatch, Number, Optional, name


def fields():
    """Return the settings as pairs of name and shape."""
    return (
        ("sample_interval_ms", Optional(Integer(SAMPLE_MS_MIN, SAMPLE_MS_MAX, "milliseconds"))),
        ("batch_records", Optional(Integer(1, BATCH_RECORDS_MAX, "records"))),
        ("batch_age_ms", Optional(Integer(0, 3_600_000, "milliseconds"))),
        (
            "thresholds",
            Optional(
                MapOf(
                    name(QUANTITY_NAME_CHARS_MAX),
                    Fields(("above", Optional(Number())), ("below", Optional(Number()))),
                    4,
                )
            ),
        ),
    )


TRIAL = "trial"
APPLIED = "applied"
ROLLED_BACK = "rolled back"
REFUSED = "refused"


class Settings:
    """store: read() -> text or None, write(text). defaults: dict of every setting. apply(dict): takes them all.

    healthy_count(): a number that grows while the device does what it is for. Raises OSError as the store does.
    """

    def __init__(self, store, defaults, apply, healthy_count):
        self._store = store
        self._defaults = defaults
        self._apply = apply
        self._healthy_count = healthy_count
        self._good = {}
        self._trial = None
        self._boots = 0
        self._version = 0
        self._rejected_version = None
        self._status = APPLIED
        self._reason = None
        self._began_ms = None
        self._healthy_before = 0

    def begin(self):
        """Apply what is stored; a trial that has seen too many boots is rolled back."""
        try:
            stored = json.loads(self._store.read() or "{}")
            self._good = self._checked(stored.get("good", {}))
            self._trial = stored.get("trial")
            self._boots = stored.get("boots", 0)
            self._version = stored.get("version", 0)
            self._rejected_version = stored.get("rejected")
            if self._trial is not None:
                self._trial = self._checked(self._trial)
        except (ValueError, AttributeError, Mismatch):
            self._good, self._trial = {}, None  # the file is damaged: what config.json says is right
        if self._trial is not None:
            self._boots += 1
            if self._boots > TRIAL_BOOTS_MAX:
                self._roll_back("the device restarted %d times with it" % self._boots)
                return
            self._status = TRIAL
            self._save()
        elif self._rejected_version is not None:
            self._status = ROLLED_BACK
        self._apply(self.present())

    def present(self):
        """Return every setting as it holds now."""
        values = dict(self._defaults)
        values.update(self._good if self._trial is None else self._trial)
        return values

    def ask(self, values, version):
        """Try `values` (dict as parsed; what is absent goes back to config.json). version: of whoever asks."""
        if version == self._rejected_version and version:
            return
        try:
            checked = self._checked(values)
        except Mismatch as mismatch:
            self._status, self._reason, self._version = REFUSED, str(mismatch), version
            return
        self._version = version
        self._reason = None
        if checked == (self._good if self._trial is None else self._trial):
            self._status = APPLIED if self._trial is None else TRIAL
            return
        self._trial = checked
        self._boots = 0
        self._began_ms = None
        self._status = TRIAL
        self._save()
        self._apply(self.present())

    def step(self, now_ms):
        """End a trial that has proved good, or bad."""
        if self._trial is None:
            return
        if self._began_ms is None:
            self._began_ms = now_ms
            self._healthy_before = self._healthy_count()
            return
        age_ms = now_ms - self._began_ms
        if age_ms >= TRIAL_MS_MIN and self._healthy_count() > self._healthy_before:
            self._good, self._trial = self._trial, None
            self._rejected_version = None
            self._status = APPLIED
            self._save()
        elif age_ms >= TRIAL_MS_MAX:
            self._roll_back("no reading reached the hub within %d minutes" % (TRIAL_MS_MAX // 60_000))

    def status(self):
        """Return what holds now, and what came of what was asked for."""
        found = self.present()
        found["status"] = self._status
        found["version"] = self._version
        found["reason"] = self._reason  # None takes an older one off the hub's record, which merges
        return found

    def _roll_back(self, reason):
        self._trial = None
        self._rejected_version = self._version
        self._status, self._reason = ROLLED_BACK, reason
        self._save()
        self._apply(self.present())

    def _checked(self, values):
        checked = Fields(*fields()).check(values, "")
        return {key: checked[key] for key in checked if checked[key] is not None}

    def _save(self):
        self._store.write(
            json.dumps(
                {
                    "good": self._good,
                    "trial": self._trial,
                    "boots": self._boots,
                    "version": self._version,
                    "rejected": self._rejected_version,
                }
            )
        )
