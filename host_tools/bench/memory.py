"""RAM that the ring and the agent's code take on MicroPython, measured by running them there, compiled as on boards."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from host_tools.bench import RecordsDiffer, Report
from host_tools.errors import UserError
from host_tools.toolchain import firmware
from host_tools.toolchain.micropython import find_or_install_narrow
from host_tools.toolchain.process import ProgramFailed, run

_TIMEOUT_S = 60

# Runs on MicroPython; argument 1 is the folder with the modules one by one, argument 2 the one that lies on a board.
_SCRIPT = """
import gc, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/lib"]

class Device:
    def __init__(self):
        self.memory = bytearray(b"\\xff" * 65536)
    def readblocks(self, block, buffer, offset):
        start = block * 4096 + offset
        buffer[:] = self.memory[start : start + len(buffer)]
    def writeblocks(self, block, data, offset):
        start = block * 4096 + offset
        self.memory[start : start + len(data)] = data
    def ioctl(self, operation, block):
        self.memory[block * 4096 : block * 4096 + 4096] = b"\\xff" * 4096
        return 0

def held():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()

device = Device()
payload = bytes(64)
start = held()
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ring.log import Ring
Ring(BlockRegion(device, range(16))).reader()  # some modules are imported when they are first needed
code = held() - start
region = BlockRegion(device, range(16))
start = held()
ring = Ring(region)
empty = held() - start
start = held()
reader = ring.reader()
one_reader = held() - start
start = held()
for turn in range(1500):
    ring.append(1, payload)
    if turn % 10 == 9:
        ring.forget(turn)
        ring.maintain()
grown = held() - start
buffer = bytearray(256)
count = 0
while reader.next(buffer) >= 0:
    count += 1
for name in [name for name in sys.modules if name.startswith("fieldpost")]:
    del sys.modules[name]
del BlockRegion, Ring, device, payload, region, ring, reader, buffer
sys.path[:2] = [sys.argv[2], sys.argv[2] + "/lib"]

def agent_code():
    start = held()
    import fieldpost.core
    return start

start = agent_code()
agent = held() - start
word = 8 if sys.maxsize > 1 << 32 else 4
print('{"word_bytes": %d, "version": "%d.%d", "code_bytes": %d, "ring_bytes": %d, "reader_bytes": %d, '
      '"grown_bytes": %d, "agent_code_bytes": %d, "records": %d}'
      % ((word,) + sys.implementation.version[:2] + (code, empty, one_reader, grown, agent, count)))
"""


@dataclass(frozen=True)
class Memory:
    """Heap in bytes: of the modules, of an open ring with its two pages, and of a reader with its one.

    word_bytes: 4 on boards; MicroPython's objects are about twice as large where it is 8. grown_bytes: what the
    ring has gained after 1500 appends; records: what a reader found then. agent_code_bytes: of all modules that a
    board imports but its port, the ring's and the drivers' included.
    """

    word_bytes: int
    version: str
    code_bytes: int
    ring_bytes: int
    reader_bytes: int
    grown_bytes: int
    agent_code_bytes: int
    records: int


def measure(micropython: Path, report: Report) -> Memory:
    """Return what a ring takes: where words have 4 bytes as on boards if such an interpreter can be had, else on
    `micropython`. UserError if it does not run there.
    """
    report("RAM on MicroPython", 0)
    try:
        micropython = find_or_install_narrow(lambda line: report(line, 0))
    except UserError as reason:
        report(str(reason), 0)
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as name:
        one_by_one = firmware.build(Path(name) / "modules", lambda line: report(line, 0), bundled=False)
        tree = firmware.build(Path(name) / "tree", lambda line: report(line, 0))
        script = Path(name) / "measure.py"
        script.write_text(_SCRIPT)
        try:
            printed = run([micropython, script, one_by_one, tree], _TIMEOUT_S)
        except ProgramFailed as failure:
            raise UserError(f"{micropython} cannot run a ring: {failure.reason}") from failure
    found = Memory(**json.loads(printed))
    if not found.records:
        raise RecordsDiffer("the ring gave nothing back on MicroPython")
    return found
