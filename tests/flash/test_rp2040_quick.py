"""The compiled engine: it computes what rp2040py's own computes, and where it cannot be made that is told."""

import importlib.util
import json
import subprocess
import sys
import time

import pytest

from host_tools.emulator.rp2040 import quick
from host_tools.toolchain.process import ProgramFailed

# In Thumb: count in r0, multiply, add, push, pop, again; for a millisecond of the chip.
_PROGRAM = """
import json, sys
from host_tools.emulator.rp2040.quick import engine_room
room = engine_room(lambda line: print(line, file=sys.stderr)) if sys.argv[1] == "quick" else None
assert (room is not None) == (sys.argv[1] == "quick")
from rp2040py.execute_batch import execute_batch
from rp2040py.simulator import Simulator

simulator = Simulator()
chip = simulator.rp2040
code = (0x2000, 0x3001, 0x4341, 0x1840, 0xB403, 0xBC03, 0xE7F9)
chip.sram[: 2 * len(code)] = b"".join(word.to_bytes(2, "little") for word in code)
chip.core.pc, chip.core.sp = 0x20000000, 0x20001000
runner = room.EngineRoom(chip) if room is not None else simulator
simulator.clock.create_alarm(lambda: setattr(runner, "stopped", True)).schedule(1e6)
runner.stopped = False
while not runner.stopped:
    runner.run(1000) if room is not None else execute_batch(simulator, 1)
print(json.dumps([list(chip.core.registers), chip.core.cycles, simulator.clock.nanos]))
"""


def test_without_a_compiler_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rp2040py", reason="rp2040py is not installed: pip install rp2040py")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ProgramFailed, match="there is no C compiler"):
        quick._built(print)


@pytest.mark.exhaustive
def test_the_compiled_engine_computes_the_same() -> None:
    """Compiles for a minute where nobody has done it before."""
    if any(importlib.util.find_spec(name) is None for name in ("rp2040py", "Cython")):
        pytest.skip("rp2040py or Cython is not installed: pip install rp2040py cython")
    said = {}
    for way in ("plain", "quick"):
        begun_s = time.monotonic()
        done = subprocess.run([sys.executable, "-c", _PROGRAM, way], capture_output=True, text=True, check=False)
        if "no C compiler" in done.stderr or "headers" in done.stderr:
            pytest.skip(done.stderr.splitlines()[0])
        assert done.returncode == 0, done.stderr
        said[way] = json.loads(done.stdout)
        print(way, f"{time.monotonic() - begun_s:.1f} s")
    assert said["quick"] == said["plain"]
    assert said["plain"][2] == pytest.approx(1e6, rel=1e-3)
