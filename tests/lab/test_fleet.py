"""Several real MicroPython processes at one hub process over TLS; the long run is `fieldpost emulate --boards N`."""

import asyncio
import dataclasses
import json
import os
import subprocess
import sys

import pytest

from host_tools.errors import UserError
from host_tools.lab import fleet, fleet_outcome


def emulate(*arguments, **environment):
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "emulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **environment)


def test_every_reading_of_every_board_arrives(tmp_path):
    said = []
    outcome = asyncio.run(fleet.run(tmp_path, 6, 500, 5.0, said.append))
    assert outcome.is_whole, (outcome, said)
    assert outcome.boards == 6 and outcome.conversions >= 6 and outcome.records > outcome.conversions
    assert (outcome.missing, outcome.gaps, outcome.resets) == (0, 0, 0) and outcome.has_drained
    assert "missing 0, gaps 0" in "\n".join(fleet_outcome.lines(outcome))
    assert outcome.board_cpu_ms_per_s > 0 and outcome.cost_ms_per_s >= outcome.board_cpu_ms_per_s
    assert outcome.due >= 6 * 10 and 0 < outcome.taken <= outcome.conversions
    late = dataclasses.replace(outcome, taken=outcome.due * 97 // 100)
    assert late.is_late and late.is_whole, "being late loses nothing, and is told"
    assert f"THE MACHINE WAS TOO BUSY: {late.taken} readings of {late.due}" in fleet_outcome.lines(late)[-1]
    punctual = dataclasses.replace(outcome, taken=outcome.due)
    assert not punctual.is_late and "TOO BUSY" not in "\n".join(fleet_outcome.lines(punctual))
    names = sorted(path.name for path in (tmp_path / "boards").iterdir())
    assert names == [f"board-{number:04}" for number in range(7)]


def test_too_many_boards_are_refused(tmp_path):
    for count in (0, 10_000):
        with pytest.raises(UserError, match="1 to 9999 are possible"):
            asyncio.run(fleet.run(tmp_path, count, 1000, 1.0, print))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which kind of board?"),
        (["esp32", "--boards", "3"], "leave the kind of board out"),
        (["--boards", "3", "--rate", "often"], "rate"),
        (["--boards", "3", "--for", "ever"], "ever"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(arguments, message):
    shown = emulate(*arguments)
    assert shown.returncode == 2 and message in shown.stderr and "Traceback" not in shown.stderr


def test_a_fleet_from_the_command_line(tmp_path):

    shown = emulate("--boards", "2", "--for", "2s", "--json", env={**os.environ, "XDG_STATE_HOME": str(tmp_path)})
    assert shown.returncode == 0, shown.stderr
    outcome = json.loads(shown.stdout.splitlines()[-1])
    assert outcome["ok"] and outcome["boards"] == 2 and outcome["missing"] == 0 and outcome["late"] in (False, True)
    assert not list((tmp_path / "fieldpost" / "fleet").iterdir())
