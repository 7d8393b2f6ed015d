"""`fieldpost bench hub`: a small run whose figures add up; nothing is asserted of time."""

import subprocess
import sys

import pytest

from host_tools.bench import mosquitto
from host_tools.bench.hub import hub_text, measure
from host_tools.errors import UserError


@pytest.fixture(scope="module")
def figures(request, tmp_path_factory):
    request.getfixturevalue("mosquitto")
    effort = measure.Effort(turns=1, seconds=1.0, tls_connections=40)
    return measure.measure(tmp_path_factory.mktemp("disk"), effort, lambda what, done: None)


def test_what_was_acknowledged_is_in_the_file(figures):
    assert 0 < figures.acknowledged <= figures.stored
    for rates in (figures.hub, figures.mosquitto):
        assert all(rates.median(window) > 0 for window in measure.WINDOWS)


def test_the_figures_as_scripts_and_people_read_them(figures):
    shown = measure.as_json(figures)
    assert {"ratio_window_16", "ratio_window_1", "tls_connections", "rss_mb", "messages_per_s"} <= shown.keys()
    assert shown["tls_connections"] == 40 and shown["rss_mb"] > 10
    assert shown["mosquitto"].startswith("Mosquitto 2")
    text = "\n".join(hub_text.lines(figures))
    assert "40 TLS connections" in text and f"{figures.stored} in the file" in text


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "bench", "hub", "--disk", "/proc/self"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 2 and "choose another place for --disk" in shown.stderr


def test_without_mosquitto_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(mosquitto.shutil, "which", lambda *_, **__: None)
    with pytest.raises(UserError, match="apt install mosquitto"):
        measure.measure(tmp_path, measure.Effort(1, 0.1, 1), lambda what, done: None)
    assert not list(tmp_path.iterdir())
