"""Settings that can be changed while the device is out there, on trial until it has proved healthy with them.

    ask -> stored as trial -> applied -> healthy after a tenth of the trial -> stored as good
                                      -> not healthy within the trial, or restarted too often -> rolled back

A version that was rolled back is not tried again. The file is replaced as a whole: it holds the old state or the
new one. Boards load this when it is needed, see kept_settings.
"""

import json

from fieldpost.limits import (
    BATCH_RECORDS_MAX,
    PIN_NAME_CHARS_MAX,
    QUANTITY_NAME_CHARS_MAX,
    SAMPLE_MS_MAX,
    SAMPLE_MS_MIN,
    SENSORS_MAX,
    TRIAL_BOOTS_MAX,
    TRIAL_MS,
)
from fieldpost.shapes import Choice, Fields, Integer, MapOf, Mismatch, Number, Optional, name


def fields():
    """Return the settings as pairs of name and shape."""
    interval = Integer(SAMPLE_MS_MIN, SAMPLE_MS_MAX, "milliseconds")
    return (
        ("sample_interval_ms", Optional(interval)),
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
        (
            "sensors",
            Optional(
                MapOf(
                    name(PIN_NAME_CHARS_MAX),
                    Fields(("on", Optional(Choice(True, False))), ("interval_ms", Optional(interval))),
                    SENSORS_MAX,
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

    progress(): how many readings were taken, and how many the hub has confirmed, both since the boot.
    sensors: {name: whether it is on if nobody says otherwise}. trial_ms: how long it may take until the device is
    healthy, beside the longest that a reading may wait for its batch. revision: grows with each change of `status`.
    Raises OSError as the store does.
    """

    def __init__(self, store, defaults, apply, progress, sensors, trial_ms=TRIAL_MS):
        self._store = store
        self._defaults = defaults
        self._apply = apply
        self._progress = progress
        self._sensors = sensors
        self._trial_ms = trial_ms
        self._trial = None
        self._boots = 0
        self.resume((0, {}, 0, None, APPLIED, None))
        self._began_ms = None
        self._taken_before = 0
        self._confirmed_before = None  # since a reading was taken with them: what waited before proves nothing

    def begin(self):
        """Apply what is stored; a trial that has seen too many boots is rolled back."""
        try:
            stored = json.loads(self._store.read() or "{}")
            self._good = self.check(stored.get("good", {}))
            self._trial = stored.get("trial")
            self._boots = stored.get("boots", 0)
            self._version = stored.get("version", 0)
            self._rejected_version = stored.get("rejected")
            if self._trial is not None:
                self._trial = self.check(self._trial)
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

    @property
    def is_on_trial(self):
        """Whether settings are on trial now."""
        return self._trial is not None

    def memory(self):
        """Return what another object needs to go on in place of this one; there must be no trial."""
        return self.revision, self._good, self._version, self._rejected_version, self._status, self._reason

    def resume(self, memory):
        """Go on in place of the object whose `memory` this is; its settings are applied already."""
        self.revision, self._good, self._version, self._rejected_version, self._status, self._reason = memory

    def present(self):
        """Return every setting as it holds now."""
        values = dict(self._defaults)
        values.update(self._chosen)
        return values

    def check(self, values):
        """Return `values` (dict as parsed) without what is absent; raise Mismatch for the first fault."""
        # A command's arguments come with None for what is absent, at every depth.
        given = _stated(values) if isinstance(values, dict) else values
        checked = _stated(Fields(*fields()).check(given, ""))
        asked = checked.get("sensors", {})
        for one in sorted(asked):
            if one not in self._sensors:
                raise Mismatch("sensors.%s is not known: expected one of %s" % (one, ", ".join(sorted(self._sensors))))
        if not [one for one in self._sensors if asked.get(one, {}).get("on", self._sensors[one])]:
            raise Mismatch("sensors would all be off: leave one of them on")
        return checked

    def is_news(self, values, version):
        """Return whether version `version` (0: none) of the desired `values` must be asked for."""
        if version and version == (self._version if self._status == REFUSED else self._rejected_version):
            return False
        try:
            if self.check(values) != self._chosen:
                return True
        except Mismatch:
            return True
        if self._version != version or self._status == REFUSED:
            self._status = APPLIED if self._trial is None else TRIAL
            self._reason = None
            self.named(version)
        return False

    def ask(self, values):
        """Try `values`; what is absent goes back to config.json. Raises Mismatch as `check` does."""
        checked = self.check(values)
        self._version = 0
        self._reason = None
        self.revision += 1
        if checked == self._chosen:
            self._status = APPLIED if self._trial is None else TRIAL
            return
        self._trial = checked
        self._boots = 0
        self._began_ms = None
        self._status = TRIAL
        self._save()
        self._apply(self.present())

    def named(self, version):
        """Call what was asked for last by the version of the desired properties that it came from."""
        self._version = version
        self.revision += 1
        if self._trial is not None:
            self._save()

    def refused(self, reason, version):
        """Note why version `version` of the desired properties was not taken."""
        self._status, self._reason, self._version = REFUSED, reason, version
        self.revision += 1

    def step(self, now_ms):
        """End a trial that has proved good, or bad."""
        if self._trial is None:
            return
        taken, confirmed = self._progress()
        if self._began_ms is None:
            self._began_ms = now_ms
            self._taken_before = taken
            self._confirmed_before = None
            return
        if self._confirmed_before is None and taken > self._taken_before:
            self._confirmed_before = confirmed
        is_healthy = self._confirmed_before is not None and confirmed > self._confirmed_before
        age_ms = now_ms - self._began_ms
        if is_healthy and age_ms >= self._trial_ms // 10:
            self._good, self._trial = self._trial, None
            self._rejected_version = None
            self._status = APPLIED
            self._save()
            self.revision += 1
        elif age_ms >= self._trial_ms and age_ms >= self._trial_ms + self.present()["batch_age_ms"]:
            self._roll_back("no reading reached the hub within %d s" % (age_ms // 1000))

    def status(self):
        """Return what holds now, and what came of what was asked for."""
        found = self.present()
        found["status"] = self._status
        found["version"] = self._version
        found["reason"] = self._reason  # None takes an older one off the hub's record, which merges
        return found

    @property
    def _chosen(self):
        return self._good if self._trial is None else self._trial

    def _roll_back(self, reason):
        self._trial = None
        self._rejected_version = self._version
        self._status, self._reason = ROLLED_BACK, reason
        self._save()
        self.revision += 1
        self._apply(self.present())

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


def _stated(values):
    """Return a checked dict without the keys that nobody gave, also in the dicts inside."""
    found = {}
    for key in values:
        value = values[key]
        if value is not None:
            found[key] = _stated(value) if isinstance(value, dict) else value
    return found
