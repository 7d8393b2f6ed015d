"""The screen for a person: every state of a board can be drawn, on narrow terminals too."""

import copy
import os

import pytest
from rich.console import Console

from host_tools.lab.live import hints, screen, sparkline, summary
from host_tools.lab.snapshot import line, state

VIEW = {
    "board": "kitchen",
    "powered": True,
    "link_up": True,
    "connected": True,
    "boots": 2,
    "agent": {
        "boot": 2, "uptime_ms": 65_000, "state": "ready", "pending": 3, "next_number": 120,
        "sent": 119, "acked": 116, "lost": 0, "error": "",
    },
    "pins": {"relay": 1, "led": 0},
    "room": {"temperature": 21.5, "pressure": 1013.25, "humidity": 48.0},
    "hub": {
        "port": 8883, "messages": 10, "records": 116, "lost": 0, "commands_waiting": 1,
        "reading": {"n": 119, "temperature": 21.5, "pressure": 1013.25, "humidity": 48.0},
        "temperatures": [21.0, 21.5, 22.0], "events": ["boot 2 (power)", "gpio.set: done"],
    },
}  # fmt: skip
FRESH = {
    **VIEW,
    "agent": {},
    "connected": False,
    "hub": {**VIEW["hub"], "reading": None, "temperatures": [], "events": [], "records": 0},
}


def drawn(view, width=100):
    console = Console(width=width, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(screen(view))
    return console.export_text()


def test_the_screen_says_how_the_board_is():
    text = drawn(VIEW)
    for part in ("kitchen", "ready", "3 records waiting", "21.50 C", "number 119", "relay ●", "led ○", "port 8883"):
        assert part in text
    assert "fieldpost send kitchen gpio.set pin=relay value=1" in text


@pytest.mark.parametrize("view", [VIEW, FRESH, {**VIEW, "powered": False}, {**VIEW, "link_up": False}])
@pytest.mark.parametrize("width", [30, 80, 200])
def test_every_state_can_be_drawn(view, width):
    before = copy.deepcopy(view)
    assert drawn(view, width)
    assert line(view)
    assert summary(view)
    assert view == before


def test_the_state_is_one_or_two_words():
    assert state(VIEW) == "ready"
    assert state(FRESH) == "booting"
    assert state({**VIEW, "powered": False}) == "off"
    assert state({**VIEW, "link_up": False}) == "link is down"


def test_trouble_is_shown():
    assert "refused" in drawn({**VIEW, "agent": {**VIEW["agent"], "error": "the hub refused the key"}})


def test_a_sparkline_runs_from_the_lowest_to_the_highest_bar():
    assert sparkline([]) == ""
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([1, 2, 3, 2]) == "▁▄█▄"


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("{here}/.venv/bin/fieldpost", ".venv/bin/fieldpost"),
        ("/elsewhere/.venv/bin/fieldpost", "/elsewhere/.venv/bin/fieldpost"),
        ("/home/me/.local/bin/fieldpost", "fieldpost"),
    ],
)
def test_the_hints_can_be_typed_as_they_stand(monkeypatch, called, shown):
    monkeypatch.setattr("sys.argv", [called.format(here=os.getcwd()), "flash"])
    assert f"\n  {shown} audit kitchen\n" in hints("kitchen").plain
