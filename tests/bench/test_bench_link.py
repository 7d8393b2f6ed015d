"""`fieldpost bench link` in its quick form: all contestants deliver, and what it prints can be read by a program."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_all_contestants_deliver_and_the_figures_have_their_names(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "disk").mkdir()
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "bench", "link", "--quick", "--json"]
    command += ["--disk", tmp_path / "disk", "--out", tmp_path / "docs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for round_trip in ("rtt_0", "rtt_20"):
        for ratio in ("messages_vs_umqtt", "readings_vs_umqtt", "readings_vs_azure_iot_device"):
            assert found[round_trip][ratio] > 0
    assert 50_000 < found["heap_peak_bytes"] < 200_000
    assert 50 < found["wire_bytes_per_reading"] < 200
    assert found["readings_per_message"] > 20
    assert found["reconnect_s"] >= 0
    page = (tmp_path / "docs" / "benchmarks" / "link.md").read_text()
    assert "fieldpost bench link" in page and "| 20 ms |" in page
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "bench", "link", "--out", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 2 and "nowhere" in done.stderr
