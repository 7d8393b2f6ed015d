"""Settings from afar: on trial first, kept when the device stays healthy with them, rolled back when not."""

import json

from fieldpost.commands.settings import APPLIED, REFUSED, ROLLED_BACK, TRIAL, Settings
from fieldpost.limits import TRIAL_BOOTS_MAX, TRIAL_MS_MAX, TRIAL_MS_MIN

DEFAULTS = {"sample_interval_ms": 1000, "batch_records": 40, "batch_age_ms": 500, "thresholds": {}}


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
        self.healthy = 0
        self.settings = Settings(self.store, DEFAULTS, self.applied.append, lambda: self.healthy)
        self.settings.begin()

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
    boot.settings.ask({"sample_interval_ms": 5000}, 3)
    assert boot.interval_ms == 5000 and boot.status == TRIAL
    boot.settings.step(1000)
    boot.healthy = 1
    boot.settings.step(1000 + TRIAL_MS_MIN - 1)
    assert boot.status == TRIAL
    boot.settings.step(1000 + TRIAL_MS_MIN)
    assert boot.status == APPLIED
    again = Boot(boot.store)
    assert again.interval_ms == 5000 and again.status == APPLIED
    assert again.settings.status()["version"] == 3


def test_a_device_that_falls_silent_with_them_goes_back_and_stays_there():
    boot = Boot()
    boot.settings.ask({"sample_interval_ms": 5000}, 3)
    boot.settings.step(0)
    boot.settings.step(TRIAL_MS_MAX - 1)
    assert boot.interval_ms == 5000
    boot.settings.step(TRIAL_MS_MAX)
    assert boot.interval_ms == 1000 and boot.status == ROLLED_BACK
    again = Boot(boot.store)
    again.settings.ask({"sample_interval_ms": 5000}, 3)
    assert again.interval_ms == 1000 and again.status == ROLLED_BACK
    again.settings.ask({"sample_interval_ms": 6000}, 4)
    assert again.interval_ms == 6000 and again.status == TRIAL


def test_a_device_that_restarts_again_and_again_with_them_goes_back():
    boot = Boot()
    boot.settings.ask({"sample_interval_ms": 5000}, 3)
    for _ in range(TRIAL_BOOTS_MAX):
        boot = Boot(boot.store)
        assert boot.interval_ms == 5000 and boot.status == TRIAL
    boot = Boot(boot.store)
    assert boot.interval_ms == 1000 and boot.status == ROLLED_BACK


def test_what_is_wrong_is_refused_by_name_and_changes_nothing():
    boot = Boot()
    for values, reason in (
        ({"sample_interval_ms": 1}, "sample_interval_ms is 1: expected an integer from 50 to 86400000 (milliseconds)"),
        ({"interval": 1}, "interval is not a known key"),
        ({"thresholds": {"temperature": {"above": "hot"}}}, 'thresholds.temperature.above is "hot": expected a number'),
    ):
        boot.settings.ask(values, 9)
        assert boot.status == REFUSED and boot.settings.status()["reason"].startswith(reason)
    assert boot.store.text is None and len(boot.applied) == 1


def test_asking_for_what_holds_already_writes_nothing():
    boot = Boot()
    boot.settings.ask({}, 1)
    assert boot.store.text is None and boot.status == APPLIED


def test_what_is_absent_goes_back_to_the_configuration():
    boot = Boot(Store(json.dumps({"good": {"sample_interval_ms": 5000, "batch_age_ms": 0}})))
    boot.settings.ask({"batch_age_ms": 0}, 2)
    assert boot.applied[-1] == dict(DEFAULTS, batch_age_ms=0)


def test_a_damaged_file_is_no_reason_to_stand_still():
    for text in ("", "{", "[]", '{"good": 5}', '{"good": {"sample_interval_ms": 0}}', '{"trial": 7}'):
        assert Boot(Store(text)).applied == [DEFAULTS], text
