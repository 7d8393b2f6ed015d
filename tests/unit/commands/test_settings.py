"""Settings from afar: on trial first, kept when the device stays healthy with them, rolled back when not."""

import json

from fieldpost.commands.kept_settings import KeptSettings
from fieldpost.commands.settings import APPLIED, REFUSED, ROLLED_BACK, TRIAL, Settings
from fieldpost.limits import TRIAL_BOOTS_MAX
from fieldpost.shapes import Mismatch
from support import raises

DEFAULTS = {"sample_interval_ms": 1000, "batch_records": 40, "batch_age_ms": 500, "thresholds": {}, "sensors": {}}
TRIAL_MS = 600_000
HEALTHY_MS = TRIAL_MS // 10
SILENT_MS = TRIAL_MS + DEFAULTS["batch_age_ms"]
SENSORS = {"bme280": True, "cpu": False}


class Store:
    def __init__(self, text=None):
        self.text = text

    def read(self):
        return self.text

    def write(self, text):
        self.text = text


class Boot:
    def __init__(self, store=None):
        self.store = store or Store()
        self.applied = []
        self.taken = self.confirmed = 0
        self.loads = 0
        self.kept = KeptSettings(self._make, True)

    def _make(self):
        self.loads += 1
        return Settings(
            self.store, DEFAULTS, self.applied.append, lambda: (self.taken, self.confirmed), SENSORS, trial_ms=TRIAL_MS
        )

    @property
    def settings(self):
        return self.kept.open()

    def step(self, now_ms):
        self.kept.step(now_ms)

    def desire(self, values, version):
        """What a twin does: ask if it is news, and say what came of it."""
        if not self.settings.is_news(values, version):
            return
        try:
            self.settings.ask(values)
        except Mismatch as mismatch:
            self.settings.refused(str(mismatch), version)
        else:
            self.settings.named(version)

    @property
    def interval_ms(self):
        return self.applied[-1]["sample_interval_ms"]

    @property
    def status(self):
        return self.settings.status()["status"]


def test_without_a_file_the_configuration_holds():
    boot = Boot()
    assert boot.applied == [DEFAULTS] and boot.status == APPLIED


def test_new_settings_hold_at_once_and_are_kept_once_readings_arrive_with_them():
    boot = Boot()
    boot.desire({"sample_interval_ms": 5000}, 3)
    assert boot.interval_ms == 5000 and boot.status == TRIAL
    boot.step(1000)
    boot.confirmed = 5
    boot.step(2000)
    boot.taken = 1
    boot.step(3000)
    boot.step(1000 + HEALTHY_MS)
    assert boot.status == TRIAL, "what was confirmed was taken before"
    boot.confirmed = 6
    boot.step(1000 + HEALTHY_MS - 1)
    assert boot.status == TRIAL
    boot.step(1000 + HEALTHY_MS)
    assert boot.status == APPLIED
    again = Boot(boot.store)
    assert again.interval_ms == 5000 and again.status == APPLIED
    assert again.settings.status()["version"] == 3


def test_a_device_that_falls_silent_with_them_goes_back_and_stays_there():
    boot = Boot()
    boot.desire({"sample_interval_ms": 5000}, 3)
    boot.step(0)
    boot.step(SILENT_MS - 1)
    assert boot.interval_ms == 5000
    boot.step(SILENT_MS)
    assert boot.interval_ms == 1000 and boot.status == ROLLED_BACK
    again = Boot(boot.store)
    again.desire({"sample_interval_ms": 5000}, 3)
    assert again.interval_ms == 1000 and again.status == ROLLED_BACK
    again.desire({"sample_interval_ms": 6000}, 4)
    assert again.interval_ms == 6000 and again.status == TRIAL


def test_a_device_that_restarts_again_and_again_with_them_goes_back():
    boot = Boot()
    boot.desire({"sample_interval_ms": 5000}, 3)
    for _ in range(TRIAL_BOOTS_MAX):
        boot = Boot(boot.store)
        assert boot.interval_ms == 5000 and boot.status == TRIAL
    boot = Boot(boot.store)
    assert boot.interval_ms == 1000 and boot.status == ROLLED_BACK


def test_what_is_wrong_is_refused_by_name_and_changes_nothing():
    boot = Boot()
    for number, (values, reason) in enumerate(
        (
            (
                {"sample_interval_ms": 1},
                "sample_interval_ms is 1: expected an integer from 50 to 86400000 (milliseconds)",
            ),
            ({"interval": 1}, "interval is not a known key"),
            (
                {"thresholds": {"temperature": {"above": "hot"}}},
                'thresholds.temperature.above is "hot": expected a number',
            ),
            ({"sensors": {"tank": {}}}, "sensors.tank is not known: expected one of bme280, cpu"),
            ({"sensors": {"bme280": {"on": False}}}, "sensors would all be off"),
            (5, "the object is 5: expected an object with sample_interval_ms"),
        )
    ):
        boot.desire(values, 9 + number)
        assert boot.status == REFUSED and boot.settings.status()["reason"].startswith(reason)
    assert boot.store.text is None and len(boot.applied) == 1


def test_asking_for_what_holds_already_writes_nothing():
    boot = Boot()
    boot.desire({}, 1)
    assert boot.store.text is None and boot.status == APPLIED


def test_what_is_absent_goes_back_to_the_configuration():
    boot = Boot(Store(json.dumps({"good": {"sample_interval_ms": 5000, "batch_age_ms": 0}})))
    boot.desire({"batch_age_ms": 0}, 2)
    assert boot.applied[-1] == dict(DEFAULTS, batch_age_ms=0)


def test_a_damaged_file_is_no_reason_to_stand_still():
    for text in ("", "{", "[]", '{"good": 5}', '{"good": {"sample_interval_ms": 0}}', '{"trial": 7}'):
        assert Boot(Store(text)).applied == [DEFAULTS], text


def test_everything_that_can_be_set_survives_a_restart():
    values = {
        "sample_interval_ms": 5000,
        "thresholds": {"temperature": {"above": 30}, "pressure": {"below": 900.5}},
        "sensors": {"bme280": {"on": False}, "cpu": {"on": True, "interval_ms": 60_000}},
    }
    boot = Boot()
    boot.desire(values, 1)
    boot.step(0)
    boot.taken = 1
    boot.step(HEALTHY_MS)
    boot.confirmed = 1
    boot.step(HEALTHY_MS)
    again = Boot(boot.store)
    assert again.status == APPLIED and again.applied == [dict(DEFAULTS, **values)]


def test_a_trial_waits_as_long_as_a_batch_may_and_no_longer():
    boot = Boot()
    boot.desire({"batch_age_ms": 3_600_000}, 1)
    boot.step(0)
    boot.step(TRIAL_MS + 3_600_000 - 1)
    assert boot.status == TRIAL
    boot.step(TRIAL_MS + 3_600_000)
    assert boot.status == ROLLED_BACK


def test_what_a_command_asked_for_yields_to_what_is_desired_and_each_is_told_by_its_version():
    boot = Boot()
    boot.desire({"sample_interval_ms": 5000}, 3)
    boot.settings.ask({"sample_interval_ms": 6000})
    assert boot.interval_ms == 6000 and boot.settings.status()["version"] == 0
    boot.desire({"sample_interval_ms": 5000}, 3)
    assert boot.interval_ms == 5000 and boot.settings.status()["version"] == 3
    revision = boot.settings.revision
    boot.desire({"sample_interval_ms": 5000}, 3)
    assert boot.settings.revision == revision and len(boot.applied) == 4, "the same once more is no news"
    boot.desire({"sample_interval_ms": 5000}, 4)
    assert boot.settings.status()["version"] == 4 and len(boot.applied) == 4


def test_what_a_command_asked_for_and_failed_leaves_the_desired_version_free():
    boot = Boot()
    boot.settings.ask({"sample_interval_ms": 6000})
    boot.step(0)
    boot.step(SILENT_MS)
    assert boot.status == ROLLED_BACK
    boot.desire({"sample_interval_ms": 5000}, 1)
    assert boot.status == TRIAL and boot.interval_ms == 5000


def test_what_is_wrong_is_raised_to_who_asks():
    boot = Boot()
    refused = raises(Mismatch)
    with refused:
        boot.settings.ask({"batch_records": 0})
    assert refused.message.startswith("batch_records is 0")


def test_what_is_put_away_is_remembered():
    boot = Boot()
    boot.step(0)
    assert boot.loads == 1 and boot.kept.revision == 0
    boot.desire({"sample_interval_ms": 1}, 4)
    refused, revision = boot.settings.status(), boot.kept.revision
    boot.step(1)
    assert boot.kept.revision == revision > 0
    assert boot.settings.status() == refused and (boot.status, refused["version"]) == (REFUSED, 4)
    boot.step(2)
    boot.desire({"sample_interval_ms": 1}, 4)
    assert boot.kept.revision == revision, "the same once more is no news"
    boot.desire({"sample_interval_ms": 5000}, 5)
    loads = boot.loads
    for now_ms in range(3, SILENT_MS, 10_000):
        boot.step(now_ms)
    assert boot.loads == loads, "while something is on trial, it stays"
    boot.step(SILENT_MS + 3)
    boot.desire({"sample_interval_ms": 5000}, 5)
    assert boot.status == ROLLED_BACK and boot.settings.status()["version"] == 5
    assert boot.loads > loads and boot.interval_ms == 1000
