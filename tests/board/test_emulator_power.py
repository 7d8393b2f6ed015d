"""The plug: pulled anywhere, the flash keeps what NOR flash keeps, and the world sees what it would see."""

import asyncio
import json
import os
import re
import select
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from host_tools.emulator import BoardShape, EmulatedBoard
from host_tools.errors import UserError

from .emulator_bench import NOWHERE, run, running_board, small_esp32

APPEND = """
import os
names = os.listdir('/')
count = 0
if 'log' in names:
    with open('log', 'rb') as file:
        data = file.read()
    count = len(data) // 4
    assert data == b''.join(b'%04d' % i for i in range(count)), data
print('found %04d' % count)
while True:
    with open('log', 'ab') as file:
        file.write(b'%04d' % count)
    count += 1
    print('kept %04d' % count)
"""


@pytest.mark.parametrize("shape", [small_esp32(), BoardShape.pico_w()], ids=["esp32", "pico_w"])
def test_littlefs_survives_cuts_inside_its_flash_operations(tmp_path, micropython, shape):
    """Goal: a file whose close returned is never lost, and none is torn, wherever the power goes.

    Method: append to a file without end, cut inside the n-th operation after each start, for rising n.
    """

    lines: list[str] = []

    async def cut() -> None:
        files = {"main.py": APPEND}
        async with running_board(tmp_path, micropython, files, shape, seed=3) as board:
            await board.power_off()
            board.on_line(lines.append)
            for operation in range(1, 41):
                await board.power_on()
                board.cut_power_at(operation)
                await board.wait_off()
                assert not board.powered
            await board.power_on()
            await board.wait_line("kept")
            assert board.flash.violations == 0

    asyncio.run(cut())
    kept = found = starts = 0
    for line in lines:
        # The bench ends by pulling the plug, which may tear the last line.
        said = re.fullmatch(r"(found|kept) (\d{4})", line)
        if said is None:
            continue
        if said[1] == "kept":
            kept = int(said[2])
        else:
            starts += 1
            found = int(said[2])
            # The power may go before or after the commit that the program was not told of any more.
            assert starts == 1 or found in (kept, kept + 1), f"start {starts}: kept {kept}, found {found}"
            kept = found
    assert starts == 41
    assert found > 20
    assert not [line for line in lines if "Error" in line]


DIRECT = """
from esp32 import Partition
queue = Partition.find(Partition.TYPE_DATA, label='queue')[0]
queue.ioctl(6, 2)
queue.writeblocks(2, bytes(range(256)) * 2, 100)
back = bytearray(600)
queue.readblocks(2, back, 0)
print(bytes(back[100:600]) == (bytes(range(256)) * 2)[:500])
"""


def test_a_board_programs_its_flash_by_itself_and_the_wear_is_counted(tmp_path, micropython):
    async def program() -> None:
        async with running_board(tmp_path, micropython) as board:
            await board.wait_line("help()")
            flash = board.flash
            sector = board.shape.partition("queue").offset // flash.sector_bytes + 2
            before = flash.programs, flash.bytes_programmed, flash.erases, flash.sector_erases[sector]
            asked: list[int] = []
            flash_program = flash.program
            flash.program = lambda offset, data: (asked.append(offset), flash_program(offset, data))  # type: ignore[method-assign]
            assert await run(board, DIRECT) == ["True"]
            # 512 bytes from byte 100 on are the rest of a page, a whole one, and what is left.
            after = flash.programs, flash.bytes_programmed, flash.erases, flash.sector_erases[sector]
            assert [new - old for new, old in zip(after, before, strict=True)] == [3, 512, 1, 1]
            assert not asked and flash.violations == 0
            # Asking a 0 to become 1 is judged by the part, which counts it.
            await run(board, "queue.writeblocks(2, b'\\xfe\\xfe', 100)")
            assert asked and flash.violations == 2 and flash.programs == after[0] + 1
            # So is everything while a cut waits, inside the operation that was meant.
            flash.cut_at(1)
            await run(board, "queue.writeblocks(2, b'\\0', 3000)")
            assert board.powered and len(asked) == 2

    asyncio.run(program())


def test_counters_and_contents_outlive_the_supervisor(tmp_path, micropython):
    async def once(files):
        async with running_board(tmp_path, micropython, files) as board:
            await board.wait_line("hello")
            return board.flash.operations, board.flash.erases, board.flash.image

    first = asyncio.run(once({"main.py": "print('hello')"}))
    second = asyncio.run(once(None))
    assert second == first, "an untouched board changed its flash or forgot its counters"
    assert first[1] > 0


def test_pins_show_each_edge_with_its_cause_and_fall_without_power(tmp_path, micropython):
    program = """
import machine, time
relay = machine.Pin(26, machine.Pin.OUT, value=1)
for _ in range(3):
    relay.off()
    relay.on()
button = machine.Pin(4, machine.Pin.IN)
print('button', button.value())
while not button.value():
    time.sleep_ms(5)
machine.Signal(relay, invert=True).on()
print('pressed')
"""

    async def watch() -> None:
        async with running_board(tmp_path, micropython, {"main.py": program}) as board:
            await board.wait_line("button 0")
            relay = board.pins[26]
            assert [edge.level for edge in relay.edges] == [1, 0, 1, 0, 1, 0, 1]
            assert {edge.cause for edge in relay.edges} == {"agent"}
            assert sorted(relay.edges, key=lambda edge: edge.t_s) == relay.edges
            board.pins.drive(4, 1)
            await board.wait_line("pressed")
            assert relay.level == 0
            with pytest.raises(UserError, match="output"):
                board.pins.drive(26, 1)

            await board.power_off()
            board.pins.drive(4, 0)
            await board.power_on()
            await board.wait_line("button 0")
            assert relay.level == 1
            await board.power_off()
            assert relay.level == 0
            assert relay.edges[-1].cause == "power"

    asyncio.run(watch())


def damaged_sidecar(directory: Path) -> None:
    (directory / "flash.json").write_text("{", encoding="utf-8")


def foreign_sidecar(directory: Path) -> None:
    state = json.loads((directory / "flash.json").read_text(encoding="utf-8"))
    state["kind"] = "rp2"
    (directory / "flash.json").write_text(json.dumps(state), encoding="utf-8")


def lost_sidecar(directory: Path) -> None:
    (directory / "flash.json").unlink()


def short_image(directory: Path) -> None:
    os.truncate(directory / "flash.bin", 4096)


def bad_counter(directory: Path) -> None:
    state = json.loads((directory / "flash.json").read_text(encoding="utf-8"))
    state["sector_erases"]["100000"] = 1
    (directory / "flash.json").write_text(json.dumps(state), encoding="utf-8")


@pytest.mark.parametrize("damage", [damaged_sidecar, foreign_sidecar, lost_sidecar, short_image, bad_counter])
def test_a_flash_image_that_is_not_this_boards_is_refused_and_left_alone(tmp_path, damage):
    async def make() -> None:
        await EmulatedBoard(tmp_path, "a", small_esp32(), Path("unused"), NOWHERE).close()

    asyncio.run(make())
    damage(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match="delete"):
        EmulatedBoard(tmp_path, "a", small_esp32(), Path("unused"), NOWHERE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_one_flash_cannot_serve_two_boards(tmp_path):
    async def twice() -> None:
        board = EmulatedBoard(tmp_path, "a", small_esp32(), Path("unused"), NOWHERE)
        with pytest.raises(UserError, match="in use"):
            EmulatedBoard(tmp_path, "a", small_esp32(), Path("unused"), NOWHERE)
        await board.close()

    asyncio.run(twice())


def test_an_interpreter_that_cannot_start_is_reported_and_given_up(tmp_path):
    async def start() -> None:
        board = EmulatedBoard(tmp_path, "a", small_esp32(), Path("/bin/false"), NOWHERE)
        await board.power_on()
        await board.wait_line("the board stays dead")
        assert board.has_crashed
        await board.close()

    asyncio.run(start())


def test_no_board_outlives_its_supervisor(tmp_path, micropython):
    """Goal: not even a board in a busy loop, after a supervisor that had no time to clean up."""
    supervisor = textwrap.dedent(
        f"""
        import asyncio, os, signal
        from pathlib import Path
        from tests.board.emulator_bench import running_board

        async def main():
            files = {{"main.py": "print('spinning')\\nwhile True:\\n    pass\\n"}}
            async with running_board(Path({str(tmp_path)!r}), Path({str(micropython)!r}), files) as board:
                await board.wait_line("spinning")
                print(board._process.pid, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", supervisor],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    # The pipes that communicate() read to their end were the board's too; now its death is certain soon.
    try:
        pidfd = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return
    assert select.select([pidfd], [], [], 30)[0], "the board still runs"
    os.close(pidfd)
