"""`fieldpost bench outage`: a short run in which fieldpost keeps its promise; figures that can be checked by hand."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from host_tools.bench.outage import judge, measure, outage_picture, outage_text
from host_tools.bench.outage.schedule import Schedule
from host_tools.lab.quantities import Span

SHORT = Schedule(11.0, (Span(1.0, 2.0),), (4.0,), (7.0,), 3.0, 60.0)


@pytest.fixture(scope="module")
def figures(request, tmp_path_factory):
    request.getfixturevalue("mosquitto")
    folder = tmp_path_factory.mktemp("disk")
    found = measure.measure(folder, request.getfixturevalue("micropython"), SHORT, None, lambda what, done: None)
    assert list(folder.iterdir()) == []
    return found


@pytest.mark.slow
def test_what_fieldpost_took_arrives_but_for_a_reading_that_the_plug_interrupted(figures):
    ours = figures.results["fieldpost"]
    assert 0 <= ours.lost <= len(SHORT.power_cuts_s)
    assert ours.taken > 10 and ours.flash_bytes > ours.taken * 20


@pytest.mark.slow
def test_the_others_run_too_and_the_figures_are_read_by_programs_and_people(figures):
    shown = measure.as_json(figures)
    assert {"fieldpost", "robust", "robust_file", "seconds", "broker"} == shown.keys()
    for name in ("robust", "robust_file"):
        assert shown[name]["arrived"] > 5 and shown[name]["lost"] >= 0
        assert shown[name]["due"] >= shown[name]["taken"] - 3
    assert len(outage_text.lines(figures)) == 1 + 3 + 2
    page = outage_text.page(figures)
    assert "| umqtt.robust 1.0 |" in page and "the link is a black hole from 1 to 3 s" in page
    assert "--mqtt-as" not in page
    picture = ElementTree.fromstring(outage_picture.draw(figures))
    assert sum(1 for shape in picture.iter() if shape.get("fill") == "#0b6e4f") > 10


def test_a_pause_is_time_with_power_and_without_a_reading():
    moments = [1.0, 2.0, 2.5, 11.0, 12.0]
    starts_s, stops_s = [0.0, 7.0], [4.0]
    # From the start at 7 to the reading at 11; the time without power and that before the first reading do not count.
    assert measure._longest_pause(moments, starts_s, stops_s, 12.5) == 4.0
    assert measure._longest_pause(moments, starts_s, stops_s, 20.0) == 8.0
    assert measure._seconds_on(starts_s, stops_s, 1.0, 12.5) == 3.0 + 5.5


def test_a_reading_that_arrived_is_found_among_those_that_were_taken():
    """Uptime begins when the program does, and not with the power; a start may not have been heard of at all."""
    moments = [1.5, 1.7, 1.9, 6.3, 6.5]
    names = [judge.Name(3, 9, 30), judge.Name(3, 11, 429), judge.Name(4, 12, 1200)]
    assert measure.when_taken(names, moments, [1.0, 6.0]) == [1.5, 1.9, 6.3]
    assert measure.when_taken([], moments, [1.0, 6.0]) == []


def test_what_the_judge_takes_for_a_reading():
    record = b'{"records":[{"n":7,"boot":2,"up":900,"temperature":21.5},{"n":8,"boot":2,"up":1000,"cause":"power"}]}'
    assert judge._names(record) == [judge.Name(2, 7, 900)]
    assert judge._names(b'{"start":3,"n":1,"up":20,"raw":"00"}') == [judge.Name(3, 1, 20)]
    assert judge._names(b"online") == []


def test_a_module_that_is_none_is_told():
    command = [
        sys.executable,
        "-c",
        "from host_tools.cli import main; main()",
        "bench",
        "outage",
        "--mqtt-as",
        "absent",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "mqtt_as/__init__.py" in done.stderr
