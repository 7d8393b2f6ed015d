"""Outputs start safe, move only when their level changes, and end what they began."""

from commands.world import PINS, Pin
from fieldpost.commands.outputs import Outputs
from fieldpost.shapes import Mismatch
from support import raises


def outputs_over(relay=0, led=1, button=0):
    pins = {"relay": Pin(relay), "led": Pin(led), "button": Pin(button)}
    return Outputs(PINS, pins), pins


def test_outputs_are_safe_from_the_start_and_inputs_are_never_written():
    outputs, pins = outputs_over(relay=1, led=0, button=1)
    assert pins["relay"].edges == [0] and pins["led"].edges == [1]
    assert pins["button"].writes == 0 and outputs.get("button") == 1


def test_a_level_that_is_there_already_is_not_written():
    outputs, pins = outputs_over()
    before = pins["relay"].writes
    for level in (0, 1, 1, 1, 0, 0):
        outputs.set("relay", level, 0)
    assert pins["relay"].writes == before + 2 and pins["relay"].edges == [1, 0]


def test_make_safe_ends_everything_now():
    outputs, pins = outputs_over()
    outputs.set("led", 0, 0)
    outputs.pulse("relay", (1000,), 0)
    outputs.make_safe(100)
    assert pins["relay"].level == 0 and pins["led"].level == 1 and not outputs.is_pulsing("relay")
    outputs.step(5000)
    assert pins["relay"].edges == [1, 0]
    outputs.pulse("relay", (10,), 6000)
    outputs.step(6010)
    assert pins["relay"].edges == [1, 0, 1, 0] and not outputs.was_cut_short("relay")


def test_the_next_end_of_a_pulse_is_told():
    outputs, pins = outputs_over()
    assert outputs.wait_ms(0) is None
    outputs.pulse("relay", (300,), 0)
    outputs.pulse("led", (100,), 0)
    assert outputs.wait_ms(40) == 60
    outputs.step(100)
    assert outputs.wait_ms(100) == 200 and outputs.wait_ms(900) == 0
    assert pins["led"].edges == [0, 1]


def test_a_pulse_after_one_that_failed_returns_to_the_level_before_both():
    outputs, pins = outputs_over()
    pins["relay"].is_broken = True
    with raises(OSError):
        outputs.pulse("relay", (100,), 0)
    pins["relay"].is_broken = False
    outputs.pulse("relay", (100,), 50)
    outputs.step(100)
    assert pins["relay"].level == 1
    outputs.step(150)
    assert pins["relay"].edges == [1, 0]


def test_a_set_takes_the_place_of_a_pulse():
    outputs, pins = outputs_over()
    outputs.pulse("relay", (100,), 0)
    outputs.set("relay", 1, 50)
    outputs.step(200)
    assert pins["relay"].edges == [1]


def limited(**limits):
    settings = {"pump": {"safe": 0}, "heater": {"safe": 1}}
    settings["pump"].update(limits)
    pins = {"pump": Pin(0), "heater": Pin(1)}
    return Outputs(settings, pins, 0), pins


def test_a_pattern_turns_over_for_each_duration_and_ends_where_it_began():
    outputs, pins = outputs_over()
    outputs.pulse("relay", (100, 50, 30), 1000)
    moments = []
    for now_ms in range(1000, 1300, 10):
        before = len(pins["relay"].edges)
        outputs.step(now_ms)
        if len(pins["relay"].edges) > before:
            moments.append(now_ms)
    assert moments == [1100, 1150, 1180] and pins["relay"].edges == [1, 0, 1, 0]
    assert not outputs.is_pulsing("relay") and not outputs.was_cut_short("relay")


def test_a_pattern_of_even_length_ends_where_it_began():
    outputs, pins = outputs_over()
    outputs.pulse("relay", (10, 10), 0)
    for now_ms in (5, 10, 20, 30):
        outputs.step(now_ms)
    assert pins["relay"].level == 0 and pins["relay"].edges == [1, 0]


def test_an_output_is_never_away_from_its_safe_level_for_longer_than_allowed():
    outputs, pins = limited(on_max_ms=500)
    outputs.set("pump", 1, 1000)
    assert outputs.wait_ms(1200) == 300
    outputs.step(1499)
    assert pins["pump"].level == 1 and outputs.forced == []
    outputs.step(1500)
    assert pins["pump"].level == 0 and outputs.forced == ["pump"]


def test_setting_it_again_does_not_make_the_time_longer():
    outputs, _ = limited(on_max_ms=500)
    for now_ms in range(0, 600, 100):
        outputs.set("pump", 1, now_ms)
        outputs.step(now_ms)
    assert outputs.forced == ["pump"]


def test_a_pattern_keeps_the_pins_limits_in_each_of_its_parts_or_does_not_begin():
    refused = raises(Mismatch)
    for level, durations_ms, message in (
        (0, (501,), "pump may be away from its safe level for 500 ms, not for 501"),
        (0, (500, 300, 501), "pump may be away from its safe level for 500 ms, not for 501"),
        (0, (10, 299, 10), "pump must rest for 300 ms, not for 299"),
        (1, (299,), "pump must rest for 300 ms, not for 299"),
        (1, (300, 501, 300), "pump may be away from its safe level for 500 ms, not for 501"),
    ):
        outputs, pins = limited(on_max_ms=500, off_min_ms=300)
        outputs.set("pump", level, 300)
        with refused:
            outputs.pulse("pump", durations_ms, 600)
        assert refused.message == message
        assert pins["pump"].level == level and not outputs.is_pulsing("pump")
    outputs, pins = limited(on_max_ms=500, off_min_ms=300)
    outputs.pulse("pump", (500, 300, 500, 5), 300)
    for now_ms in range(300, 3000, 5):
        outputs.step(now_ms)
    assert pins["pump"].edges == [1, 0, 1, 0] and outputs.forced == []


def test_what_a_pattern_will_come_back_to_excludes_others_meanwhile():
    outputs, pins = limited(not_with=["heater"])
    outputs.set("pump", 1, 0)
    outputs.pulse("pump", (100,), 0)
    assert pins["pump"].level == 0
    with raises(Mismatch):
        outputs.check("heater", 0, 50)
    outputs.step(100)
    outputs.set("pump", 0, 150)
    outputs.set("heater", 0, 150)


def test_the_longest_time_begins_anew_when_a_pattern_has_passed_the_safe_level():
    outputs, pins = limited(on_max_ms=500)
    outputs.set("pump", 1, 0)
    outputs.pulse("pump", (100,), 400)
    outputs.step(500)
    outputs.pulse("pump", (100,), 950)
    outputs.step(1050)
    assert pins["pump"].edges == [1, 0, 1, 0, 1]
    outputs.step(1549)
    assert outputs.forced == [] and pins["pump"].level == 1
    outputs.step(1550)
    assert pins["pump"].level == 0 and outputs.forced == ["pump"]


def test_an_output_rests_before_it_leaves_its_safe_level_again_also_after_a_restart():
    outputs, pins = limited(off_min_ms=300)
    refused = raises(Mismatch)
    with refused:
        outputs.check("pump", 1, 0)
    assert refused.message == "pump must rest for 300 ms more"
    outputs.set("pump", 1, 300)
    outputs.set("pump", 0, 400)
    outputs.set("pump", 0, 600)
    with refused:
        outputs.set("pump", 1, 650)
    assert refused.message == "pump must rest for 50 ms more"
    assert pins["pump"].edges == [1, 0]
    outputs.set("pump", 1, 700)


def test_outputs_that_exclude_one_another():
    for asked, other, away in (("pump", "heater", 1), ("heater", "pump", 0)):
        outputs, _ = limited(not_with=["heater"])
        outputs.set(asked, away, 0)
        refused = raises(Mismatch)
        with refused:
            outputs.pulse(other, (10,), 0)
        assert refused.message == "%s may not leave its safe level while %s is away from its own" % (other, asked)
        outputs.make_safe(5)
        outputs.check(other, 1 - away, 5)


def test_a_pwm_pin_has_a_duty_and_a_safe_level():
    outputs, pins = limited(on_max_ms=500)
    outputs.set("pump", (250, 1000), 0)
    outputs.set("pump", (500, 1000), 100)
    assert pins["pump"].edges == [(250, 1000), (500, 1000)]
    outputs.step(500)
    assert pins["pump"].level == 0, "a change of duty is no rest"
