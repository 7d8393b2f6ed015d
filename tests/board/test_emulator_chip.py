"""What programs find on the chip: resets and their causes, clocks, flash interfaces, Wi-Fi."""

import asyncio
import time

import pytest

from host_tools.emulator import BoardShape, starvation
from host_tools.emulator.process import ChipProcess, stolen_s
from host_tools.emulator.starvation import Starvation

from .emulator_bench import run, running_board, small_esp32

ESP32 = small_esp32()
PICO_W = BoardShape.pico_w()
both = pytest.mark.parametrize("shape", [ESP32, PICO_W], ids=["esp32", "pico_w"])

TELL_CAUSE = "import machine\nprint('cause', machine.reset_cause())\n"


def on_board(tmp_path, micropython, shape, program, files=None):
    """Run `program` on a fresh board; return what it printed."""

    async def go():
        async with running_board(tmp_path, micropython, files, shape) as board:
            await board.wait_line("help()")
            return await run(board, program)

    return asyncio.run(go())


# PWRON_RESET 1, HARD_RESET 2, WDT_RESET 3, DEEPSLEEP_RESET 4, SOFT_RESET 5; an RP2040 knows only 1 and 3.
@pytest.mark.parametrize(
    ("shape", "causes"), [(ESP32, [1, 2, 3, 4, 5, 1]), (PICO_W, [1, 3, 3, 3, 3, 1])], ids=["esp32", "pico_w"]
)
def test_every_reset_has_its_cause(tmp_path, micropython, shape, causes):
    seen = []

    async def reset_all() -> None:
        async with running_board(tmp_path, micropython, {"main.py": TELL_CAUSE}, shape) as board:
            board.on_line(lambda line: line.startswith("cause") and seen.append(int(line.split()[1])))
            await board.wait_line("help()")
            for order in (
                "machine.reset()",
                "w = machine.WDT(timeout=100)",
                "machine.deepsleep(50)",
                "machine.soft_reset()",
            ):
                board.type(order + "\r")
                await board.wait_line("help()")
            await board.power_cycle(off_s=0)
            await board.wait_line("help()")
            assert board.boots == 6  # the one in which main.py was written is the first; a soft reset is none
            assert board.reset_causes[1:] == ["power", "reset", "watchdog", "sleep", "power"]

    asyncio.run(reset_all())
    assert seen == causes


def test_a_watchdog_that_is_fed_lets_the_program_live(tmp_path, micropython):
    program = """
import machine, time
watchdog = machine.WDT(timeout=300)
for _ in range(8):
    time.sleep_ms(100)
    watchdog.feed()
print('alive')
while True:
    pass
"""

    async def starve() -> None:
        async with running_board(tmp_path, micropython, {"main.py": program}) as board:
            await board.wait_line("alive")
            assert "watchdog" not in board.reset_causes
            await board.wait_line("alive")
            assert board.reset_causes[2:] == ["watchdog"]

    asyncio.run(starve())


def test_a_watchdog_does_not_count_the_time_that_a_busy_machine_took():
    began = 1_000_000
    starvation = Starvation(began)
    own_s = starvation._total_s
    assert starvation.since(began + 100, began + 8_100, 0.5) >= 499
    # Fed at 9,000: the half second before the look at 8,100 counts no more, what came after it does.
    since = starvation.since(began + 9_000, began + 16_100, 3.0)
    assert 2_499 <= since <= 2_500 + 1000 * (Starvation(0)._total_s - own_s)
    # Not fed again: it adds up, and never comes to more than all of the time.
    assert starvation.since(began + 9_000, began + 20_000, 7.0) >= 6_499
    assert starvation.since(began + 9_000, began + 20_001, 900.0) == 11_001


@pytest.mark.parametrize("thief", ["other processes", "the host of a virtual machine"])
def test_a_board_that_the_machine_starves_is_not_restarted(tmp_path, micropython, monkeypatch, thief):
    """Goal: no storm of restarts on a busy machine, and yet a program that hangs is restarted."""
    program = "import machine\nmachine.WDT(timeout=300)\nprint('hangs')\nwhile True:\n    pass\n"
    began = time.monotonic()
    ended: list[float] = []

    def taken(*_):
        return (ended or [time.monotonic()])[0] - began

    if thief == "other processes":
        monkeypatch.setattr(ChipProcess, "starved_s", taken)
    else:
        monkeypatch.setattr(starvation, "stolen_s", taken)

    async def starve() -> None:
        async with running_board(tmp_path, micropython, {"main.py": program}) as board:
            await board.wait_line("hangs")
            await asyncio.sleep(0.8)
            assert "watchdog" not in board.reset_causes
            ended.append(time.monotonic())
            await board.wait_line("hangs")
            assert board.reset_causes[-1] == "watchdog"

    asyncio.run(starve())


def test_what_the_host_took_only_grows():
    first = stolen_s()
    assert 0 <= first <= stolen_s()


def test_a_pico_refuses_a_watchdog_beyond_its_range(tmp_path, micropython):
    program = """
import machine
try:
    machine.WDT(timeout=8389)
except ValueError:
    print('refused')
"""
    assert on_board(tmp_path, micropython, PICO_W, program) == ["refused"]


@pytest.mark.parametrize(
    ("shape", "epoch_year", "start_year"), [(ESP32, 2000, 2000), (PICO_W, 1970, 2021)], ids=["esp32", "pico_w"]
)
def test_the_clock_starts_wrong_and_a_time_server_mends_it(tmp_path, micropython, shape, epoch_year, start_year):
    program = """
import time, ntptime, machine, network
print(time.gmtime(0)[0], time.gmtime()[0])
assert time.mktime((2024, 2, 29, 12, 30, 59, 0, 0)) == time.mktime((2024, 3, 1, 12, 30, 59, 0, 0)) - 86400
for moment in ((2021, 1, 1, 0, 0, 0), (2024, 12, 31, 23, 59, 59), (2027, 7, 15, 6, 7, 8)):
    assert time.gmtime(time.mktime(moment + (0, 0)))[:6] == moment
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect('any', 'password')
while not wlan.isconnected():
    time.sleep_ms(20)
ntptime.settime()
print(time.time() + (946684800 if time.gmtime(0)[0] == 2000 else 0))
machine.RTC().datetime((2031, 5, 6, 0, 7, 8, 9, 0))
print(machine.RTC().datetime()[:3], time.localtime()[:5], 9 <= time.localtime()[5])
"""
    before_s = int(time.time())
    lines = on_board(tmp_path, micropython, shape, program)
    assert lines[0] == f"{epoch_year} {start_year}"
    assert before_s <= int(lines[1]) <= int(time.time())
    assert lines[2] == "(2031, 5, 6) (2031, 5, 6, 7, 8) True"


def test_a_time_server_does_not_answer_through_an_outage(tmp_path, micropython):
    program = """
import network, ntptime, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect('any', 'password')
while not wlan.isconnected():
    time.sleep_ms(20)
ntptime.timeout = 0.2
try:
    ntptime.settime()
except OSError as error:
    print('errno', error.errno)
"""

    async def ask() -> None:
        async with running_board(tmp_path, micropython) as board:
            await board.wait_line("help()")
            board.link.down()
            assert await run(board, program) == ["errno 116"]

    asyncio.run(ask())


def test_an_esp32_partition_keeps_the_rules_of_the_port(tmp_path, micropython):
    program = """
from esp32 import Partition
p = Partition.find(Partition.TYPE_DATA, label='queue')[0]
print(p.info()[3:])
print(p.ioctl(4, 0), p.ioctl(5, 0), p.ioctl(6, 1), p.ioctl(3, 0))
p.writeblocks(1, b'abc', 254)                       # crosses a page
p.writeblocks(1, b'\\xf0', 0)
p.writeblocks(1, b'\\x3f', 0)                       # the extended form never erases
b = bytearray(5)
p.readblocks(1, b, 253); print(bytes(b))
p.readblocks(1, b, 0); print(b[0])
p.writeblocks(1, b'\\x55' * 4096)                   # the simple form does
p.readblocks(1, b, 253); print(bytes(b))
print(Partition('queue', 512).ioctl(6, 0))
for attempt in (lambda: p.readblocks(16, b), lambda: p.writeblocks(15, b, 4092), lambda: p.ioctl(6, 16),
                lambda: p.readblocks(-1, b), lambda: Partition('nothing')):
    try:
        attempt()
    except OSError as error:
        print(error.args[0])
print(Partition.find(Partition.TYPE_DATA, label='nothing'))
small = Partition('queue', 512)
small.writeblocks(9, b'\\x11' * 512)                # read, change, erase, write of a whole sector
p.readblocks(1, b, 509); print(bytes(b))
"""
    assert on_board(tmp_path, micropython, ESP32, program) == [
        "(65536, 'queue', False)",
        "16 4096 0 0",
        "b'\\xffabc\\xff'",
        "48",
        "b'UUUUU'",
        "-22",
        "-260",
        "-260",
        "-260",
        "-258",
        "2",
        "[]",
        "b'UUU\\x11\\x11'",
    ]


def test_rp2_flash_keeps_the_rules_of_the_port(tmp_path, micropython):
    program = """
import rp2
flash = rp2.Flash()
print(flash.ioctl(4, 0), flash.ioctl(5, 0))
part = rp2.Flash(start=200 * 4096, len=8 * 4096)
print(part.ioctl(4, 0), part.ioctl(6, 0))
page = bytearray(b'\\xff' * 256)
page[0:3] = b'abc'
part.writeblocks(0, page, 256)
b = bytearray(4)
flash.readblocks(200, b, 256); print(bytes(b))
part.writeblocks(0, b'short', 512)                   # a whole page is programmed all the same
flash.readblocks(200, b, 764); print(bytes(b) != b'\\xff' * 4)
for keys in ({'start': 100}, {'start': 4096, 'len': 213 * 4096}):
    try:
        rp2.Flash(**keys)
    except ValueError:
        print('refused')
flash.readblocks(-1, b, 0); print(bytes(b))          # the firmware, which nothing protects
"""
    assert on_board(tmp_path, micropython, PICO_W, program) == [
        "212 4096",
        "8 0",
        "b'abc\\xff'",
        "True",
        "refused",
        "refused",
        "b'\\x00\\x00\\x00\\x00'",
    ]


def test_a_pico_formats_what_it_cannot_mount_and_an_esp32_does_not(tmp_path, micropython):
    async def damage(directory, shape, label):
        async with running_board(directory, micropython, {"main.py": "print('lives')"}, shape) as board:
            await board.wait_line("lives")
            await board.power_off()
            row = board.shape.partition(label)
            board.flash.memory[row.offset : row.offset + 8192] = bytes(8192)
            await board.power_on()
            return await board.wait_line("corrupted" if label == "vfs" else "help()")

    asyncio.run(damage(tmp_path / "pico", PICO_W, "storage"))
    asyncio.run(damage(tmp_path / "esp32", ESP32, "vfs"))


@both
def test_wifi_status_follows_the_habits_of_the_port(tmp_path, micropython, shape):
    join = """
import network, time
wlan = network.WLAN(network.STA_IF)
print(wlan.active(), wlan.isconnected(), wlan.status())
wlan.active(True)
wlan.config(pm=network.WLAN.PM_NONE)
wlan.connect('any', 'password')
print(wlan.status())
while not wlan.isconnected():
    time.sleep_ms(20)
print(wlan.status())
"""
    tell = "import network\nprint(network.WLAN(network.STA_IF).status())"
    idle, joining, up, gone, back = (1000, 1001, 1010, 1001, 1010) if shape.kind == "esp32" else (0, 1, 3, -2, 0)

    async def walk_away() -> None:
        async with running_board(tmp_path, micropython, shape=shape) as board:
            await board.wait_line("help()")
            assert await run(board, join) == [f"False False {idle}", str(joining), str(up)]
            board.access_point = False
            assert await run(board, tell) == [str(gone)]
            board.access_point = True
            assert await run(board, tell) == [str(back)], "ESP32 joins again by itself, a Pico W does not"

    asyncio.run(walk_away())


def test_programs_see_only_their_own_flash(tmp_path, micropython):
    program = """
import os, sys
print(sys.path, os.listdir('/'))
for name in ('_wire', '_flash', 'rp2'):
    try:
        __import__(name)
    except ImportError:
        print('no', name)
"""
    assert on_board(tmp_path, micropython, ESP32, program) == [
        "['', '.frozen', '/lib'] ['boot.py']",
        "no _wire",
        "no _flash",
        "no rp2",
    ]


@both
def test_the_heap_of_the_shape_is_for_programs_alone(tmp_path, micropython, shape):
    """The emulator's own modules must not make a board poorer than it is, nor much richer."""
    program = "import gc\ngc.collect()\nprint(gc.mem_free())"
    (line,) = on_board(tmp_path, micropython, shape, program)
    assert 0.93 * shape.heap_bytes < int(line) <= 1.02 * shape.heap_bytes


def test_the_heap_is_as_small_as_the_boards_and_its_peak_is_told(tmp_path, micropython):
    shape = small_esp32(heap_bytes=96 * 1024)
    program = """
import gc, time
try:
    bytearray(96 * 1024)
except MemoryError:
    print('full')
b = bytearray(20000)
time.sleep_ms(1)
"""

    async def fill() -> None:
        async with running_board(tmp_path, micropython, shape=shape) as board:
            await board.wait_line("help()")
            assert await run(board, program) == ["full"]
            assert 20000 < board.heap_peak_bytes <= 96 * 1024

    asyncio.run(fill())
