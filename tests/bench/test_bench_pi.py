"""`fieldpost bench pi` in its quick form: it runs, both deliver, and what it prints can be read by a program."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_both_deliver_and_the_figures_are_those_of_a_running_program(tmp_path):
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "bench", "pi", "--quick", "--json"]
    done = subprocess.run([*command, "--disk", tmp_path], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for contestant in ("fieldpost", "rival"):
        figures = found[contestant]
        assert figures["delivered"] >= found["seconds"] / 2
        assert 5 < figures["pss_mib"] < 500
        assert 0 < figures["cpu_percent"] < 100
    assert set(found["versions"]) == {"azure-iot-device", "persist-queue"}
    assert list(tmp_path.iterdir()) == []
