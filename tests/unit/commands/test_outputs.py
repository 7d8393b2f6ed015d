"""Outputs start safe, move only when their level changes, and end what they began."""

from commands.world import PINS, Pin
from fieldpost.commands.outputs import Outputs
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
        outputs.set("relay", level)
    assert pins["relay"].writes == before + 2 and pins["relay"].edges == [1, 0]


def test_make_safe_ends_everything_now():
    outputs, pins = outputs_over()
    outputs.set("led", 0)
    outputs.pulse("relay", 1000, 0)
    outputs.make_safe()
    assert pins["relay"].level == 0 and pins["led"].level == 1 and not outputs.is_pulsing("relay")
    outputs.step(5000)
    assert pins["relay"].edges == [1, 0]
    outputs.pulse("relay", 10, 6000)
    outputs.step(6010)
    assert pins["relay"].edges == [1, 0, 1, 0] and not outputs.was_cut_short("relay")


def test_the_next_end_of_a_pulse_is_told():
    outputs, pins = outputs_over()
    assert outputs.wait_ms(0) is None
    outputs.pulse("relay", 300, 0)
    outputs.pulse("led", 100, 0)
    assert outputs.wait_ms(40) == 60
    outputs.step(100)
    assert outputs.wait_ms(100) == 200 and outputs.wait_ms(900) == 0
    assert pins["led"].edges == [0, 1]


def test_a_pulse_after_one_that_failed_returns_to_the_level_before_both():
    outputs, pins = outputs_over()
    pins["relay"].is_broken = True
    with raises(OSError):
        outputs.pulse("relay", 100, 0)
    pins["relay"].is_broken = False
    outputs.pulse("relay", 100, 50)
    outputs.step(100)
    assert pins["relay"].level == 1
    outputs.step(150)
    assert pins["relay"].edges == [1, 0]


def test_a_set_takes_the_place_of_a_pulse():
    outputs, pins = outputs_over()
    outputs.pulse("relay", 100, 0)
    outputs.set("relay", 1)
    outputs.step(200)
    assert pins["relay"].edges == [1]
