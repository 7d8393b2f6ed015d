"""The lamp: what it shows in each state, and that a pin which costs a bus transfer is asked seldom."""

from fieldpost.status_led import CONNECTING, ERROR, JOINING, READY, StatusLed, state_of


class Pin:
    def __init__(self):
        self.levels = []

    def value(self, level):
        self.levels.append(level)


class Thing:
    def __init__(self, **fields):
        for name in fields:
            setattr(self, name, fields[name])


def shown(state, inverted=0):
    """Return what two turns look like, a character for each 50 ms."""
    pin = Pin()
    led = StatusLed(pin, inverted)
    seen = ""
    for now_ms in range(0, 4_000, 50):
        led.step(state, now_ms)
        seen += "#" if pin.levels[-1] else "."
    return seen, len(pin.levels)


def test_every_state_looks_different_and_repeats():
    pictures = [shown(state)[0] for state in (JOINING, CONNECTING, READY, ERROR)]
    assert len(set(pictures)) == 4
    for picture in pictures:
        assert picture[:40] == picture[40:]
    joining, connecting, ready, error = pictures
    assert ready == "#" * 80
    assert joining.count("#") == 20 and connecting.count("#") == 40 and error.count("#") == 30


def test_the_pin_is_asked_for_changes_alone():
    assert shown(READY)[1] == 1
    assert shown(JOINING)[1] == 8


def test_an_inverted_lamp_shines_when_low():
    assert shown(READY, 1)[0] == "." * 80


def test_the_state_is_that_of_network_and_session_together():
    up, joining, lost = Thing(is_up=True, trouble=""), Thing(is_up=False, trouble=""), Thing(is_up=False, trouble="x")
    for network, state, error, expected in (
        (up, "ready", "", READY),
        (up, "down", "", CONNECTING),
        (up, "connecting", "", CONNECTING),
        (up, "down", "refused", ERROR),
        (joining, "down", "", JOINING),
        (joining, "down", "no way", JOINING),
        (lost, "down", "", ERROR),
    ):
        assert state_of(network, Thing(state=state, last_error=error)) == expected
