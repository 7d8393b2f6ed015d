"""RAM and time that the ring takes on MicroPython, RAM of the agent's code; compiled as on boards, and run there."""

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from host_tools.bench import IN_ROM, RecordsDiffer, Report
from host_tools.errors import UserError
from host_tools.toolchain import firmware, romfs
from host_tools.toolchain.micropython import find_or_install_narrow
from host_tools.toolchain.process import ProgramFailed, run

_TIMEOUT_S = 60

_START = "import sys; sys.path.insert(0, sys.argv[1]); del sys.argv[1]; import measure"

# Runs on MicroPython; argument 1 is the folder with the modules one by one, argument 2 the one that lies on a board.
_SCRIPT = """
import gc, sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/lib"]

class Device:
    def __init__(self):
        self.memory = memoryview(bytearray(b"\\xff" * 65536))
        self.blank = bytes(b"\\xff" * 4096)
    def readblocks(self, block, buffer, offset):
        start = block * 4096 + offset
        buffer[:] = self.memory[start : start + len(buffer)]
    def writeblocks(self, block, data, offset):
        start = block * 4096 + offset
        self.memory[start : start + len(data)] = data
    def ioctl(self, operation, block):
        self.memory[block * 4096 : block * 4096 + 4096] = self.blank
        return 0

def held():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()

def spent(work):
    # us and bytes of heap for each turn; nothing is collected meanwhile
    gc.collect()
    gc.disable()
    bytes_before, start = gc.mem_alloc(), time.ticks_us()
    work(200)
    us, taken = time.ticks_diff(time.ticks_us(), start), gc.mem_alloc() - bytes_before
    gc.enable()
    return us / 200, taken // 200

device = Device()
payload = bytes(64)
from fieldpost.modules import unload
start = held()
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ring.log import Ring
Ring(BlockRegion(device, range(16))).reader()  # some modules are imported when they are first needed
opening = held() - start
unload("fieldpost.ring.recovery")
unload("fieldpost.ring.search")
code = held() - start
region = BlockRegion(device, range(16))
from fieldpost.ring import recovery
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
buffer = memoryview(bytearray(256))
count = 0
while reader.next(buffer) >= 0:
    count += 1

def append(turns):
    for _ in range(turns):
        ring.append(1, payload)

def get(turns):
    for _ in range(turns):
        reader.next(buffer)

def acknowledge(turns):
    for _ in range(turns):
        ring.forget(ring.cursor + 1)

# The device's own slices are not the ring's.
page = memoryview(bytearray(76))
def program(turns):
    for turn in range(turns):
        device.writeblocks(0, page, 0)
        device.readblocks(0, page, 0)
_, device_heap = spent(program)
append_us, append_heap = spent(append)
get_us, get_heap = spent(get)
ack_us, _ = spent(acknowledge)
for name in [name for name in sys.modules if name.startswith("fieldpost")]:
    del sys.modules[name]
del BlockRegion, Ring, recovery, device, payload, region, ring, reader, buffer, page, append, get, acknowledge, program
sys.path[:2] = [sys.argv[2], sys.argv[2] + "/lib"]

def agent_code():
    start = held()
    import fieldpost.core
    return start

start = agent_code()
agent = held() - start
word = 8 if sys.maxsize > 1 << 32 else 4
print('{"word_bytes": %d, "version": "%d.%d", "opening_bytes": %d, "code_bytes": %d, "ring_bytes": %d, '
      '"reader_bytes": %d, "grown_bytes": %d, "agent_code_bytes": %d, "records": %d, "append_us": %f, "get_us": %f, '
      '"ack_us": %f, "append_heap_bytes": %d, "get_heap_bytes": %d}'
      % ((word,) + sys.implementation.version[:2] + (opening, code, empty, one_reader, grown, agent, count,
         append_us, get_us, ack_us, max(0, append_heap - device_heap), get_heap)))
"""


@dataclass(frozen=True)
class Memory:
    """Heap in bytes: of the modules, of an open ring with its two pages, and of a reader with its one.

    word_bytes: 4 on boards; MicroPython's objects are larger where it is 8. opening_bytes: code while a ring is opened,
    code_bytes: of what stays. grown_bytes: what the ring has gained after 1500 appends; records: what a reader found
    then. agent_code_bytes: of all modules that stay on a board but its port, the ring's and the drivers' included.
    code_in_rom_bytes, agent_code_in_rom_bytes: of the same with the modules in ROM, as a Pico W has them in flash.
    append_us and others: time of one call on this machine. append_heap_bytes, get_heap_bytes: what one call takes from
    the heap and leaves to the collector.
    """

    word_bytes: int
    version: str
    opening_bytes: int
    code_bytes: int
    ring_bytes: int
    reader_bytes: int
    grown_bytes: int
    agent_code_bytes: int
    records: int
    append_us: float
    get_us: float
    ack_us: float
    append_heap_bytes: int
    get_heap_bytes: int
    code_in_rom_bytes: int = 0
    agent_code_in_rom_bytes: int = 0


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
        program = Path(name) / "programs" / "measure.mpy"
        firmware.compile_module(_SCRIPT, program, Path(program.name), Path(name) / "sources")
        rom = Path(name) / "rom.img"
        rom.write_bytes(romfs.image(Path(name)))
        try:
            printed = run([micropython, "-c", _START, program.parent, one_by_one, tree], _TIMEOUT_S)
            printed_in_rom = run([micropython, IN_ROM, rom, "measure", "/rom/modules", "/rom/tree"], _TIMEOUT_S)
        except ProgramFailed as failure:
            raise UserError(f"{micropython} cannot run a ring: {failure.reason}") from failure
    in_rom = Memory(**json.loads(printed_in_rom))
    found = replace(
        Memory(**json.loads(printed)),
        code_in_rom_bytes=in_rom.code_bytes,
        agent_code_in_rom_bytes=in_rom.agent_code_bytes,
    )
    if not found.records:
        raise RecordsDiffer("the ring gave nothing back on MicroPython")
    return found
