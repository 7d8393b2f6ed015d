"""The tool that flashes real boards, unmodified, on the emulated board's serial port."""

import asyncio

import pytest

from host_tools.emulator import BoardShape

from .emulator_bench import mpremote, running_board, small_esp32

SHAPES = {"esp32": small_esp32(), "pico_w": BoardShape.pico_w()}


@pytest.fixture(params=list(SHAPES))
def shape(request):
    return SHAPES[request.param]


def test_files_go_there_and_back_unchanged(tmp_path, micropython, shape):
    sent = tmp_path / "sent.bin"
    received = tmp_path / "received.bin"
    sent.write_bytes(bytes(range(256)) * 80)

    async def copy() -> None:
        async with running_board(tmp_path / "board", micropython, shape=shape) as board:
            assert await mpremote(board, "fs", "mkdir", ":data") == (0, "mkdir :data\n")
            code, _ = await mpremote(board, "fs", "cp", str(sent), ":data/file.bin")
            assert code == 0
            code, listing = await mpremote(board, "fs", "ls", ":data")
            assert (code, listing.split()[-2:]) == (0, ["20480", "file.bin"])
            code, _ = await mpremote(board, "fs", "cp", ":data/file.bin", str(received))
            assert code == 0
            assert board.flash.violations == 0

    asyncio.run(copy())
    assert received.read_bytes() == sent.read_bytes()


def test_a_program_that_loops_is_interrupted_and_runs_again_after_a_reset(tmp_path, micropython, shape):
    loop = "import time\nprint('loop begins')\nwhile True:\n    time.sleep_ms(20)\n"

    async def interrupt() -> None:
        files = {"main.py": loop}
        async with running_board(tmp_path, micropython, files, shape) as board:
            await board.wait_line("loop begins")
            assert await mpremote(board, "exec", "print(6 * 7)") == (0, "42\n")
            assert await mpremote(board, "resume", "exec", "print(6 * 8)") == (0, "48\n")
            # A soft reset from the raw prompt runs boot.py and not main.py.
            assert not any("loop begins" in line for line in list(board.console)[-3:])
            again = asyncio.create_task(board.wait_line("loop begins"))
            assert (await mpremote(board, "reset"))[0] == 0
            await again
            assert board.reset_causes[-1] == "reset"

    asyncio.run(interrupt())


def test_a_busy_program_is_interrupted_too(tmp_path, micropython):
    async def interrupt() -> None:
        files = {"main.py": "print('busy')\nwhile True:\n    pass\n"}
        async with running_board(tmp_path, micropython, files) as board:
            await board.wait_line("busy")
            assert await mpremote(board, "exec", "print(1)") == (0, "1\n")

    asyncio.run(interrupt())


def test_a_traceback_comes_back_and_variables_live_until_the_reset(tmp_path, micropython):
    async def ask() -> None:
        async with running_board(tmp_path, micropython) as board:
            code, text = await mpremote(board, "exec", "1/0")
            assert code == 1
            assert text.endswith("ZeroDivisionError: divide by zero\n")
            assert await mpremote(board, "exec", "x = 5") == (0, "")
            assert await mpremote(board, "resume", "exec", "print(x)") == (0, "5\n")
            code, _ = await mpremote(board, "exec", "print(x)")
            assert code == 1, "a soft reset kept a variable"

    asyncio.run(ask())


def test_a_long_output_arrives_whole_though_the_reader_is_slow(tmp_path, micropython):
    async def ask() -> None:
        async with running_board(tmp_path, micropython) as board:
            code, text = await mpremote(board, "exec", "for i in range(8000):\n print(i, 'abcdefghijklmnop')")
            assert code == 0
            lines = text.splitlines()
            assert [int(line.split()[0]) for line in lines] == list(range(8000))

    asyncio.run(ask())


def test_output_that_nobody_reads_neither_stops_the_board_nor_confuses_the_next_tool(tmp_path, micropython):
    talk = "for i in range(3000):\n    print('talk', i, 'x' * 60)\nprint('talked')\n"

    async def ask() -> None:
        async with running_board(tmp_path, micropython, {"main.py": talk}) as board:
            assert board.serial_port.exists()
            await board.wait_line("talked")
            assert await mpremote(board, "exec", "print(7)") == (0, "7\n")

    asyncio.run(ask())


def test_the_friendly_prompt_serves_a_person(tmp_path, micropython):
    async def type_at_it() -> None:
        async with running_board(tmp_path, micropython) as board:
            await board.wait_line("help()")
            board.type("6 * 7\r")
            assert await board.wait_line("42") == "42"
            board.type("for i in range(3):\r    print('round', i)\r\r")
            await board.wait_line("round 2")
            board.type("\x05print('pas' + 'ted')\r\x04")
            await board.wait_line("pasted")
            board.type("x = 1\rx\x7f\x7fprint('de' + 'leted')\r")
            await board.wait_line("deleted")
            board.type("\x04")
            await board.wait_line("MPY: soft reboot")
            await board.wait_line("help()")
            assert board.boots == 1

    asyncio.run(type_at_it())


def test_a_tool_that_comes_during_a_reset_is_served_after_it(tmp_path, micropython):
    """Goal: no byte of a tool is lost in a reset, or it would wait for ever.

    Method: the moment after a reset was asked for, type what mpremote types, against a program that loops.
    """
    loop = "print('loop begins')\nwhile True:\n    pass\n"

    async def come() -> None:
        async with running_board(tmp_path, micropython, {"main.py": loop}) as board:
            await board.wait_line("loop begins")
            for _ in range(25):
                board.press_reset()
                board.type("\r")
                board.interrupt()
                board.type("\r\x01print('ser' + 'ved')\x04")
                await board.wait_line("served")

    asyncio.run(come())


def test_a_program_that_writes_files_can_be_stopped_anywhere(tmp_path, micropython):
    """Goal: an interrupt gets through to a program that is always busy with its flash, and divides no flash operation.

    Method: stop it and start it again, many times; each time it looks at the file that it was writing. It never
    waits, so it is stopped the hard way.
    """
    program = """
import os
if 'data' in os.listdir('/'):
    with open('data', 'rb') as file:
        data = file.read()
    assert data == bytes(range(256)) * (len(data) // 256), 'torn'
    print('whole', len(data))
while True:
    with open('new', 'wb') as file:
        for _ in range(6):
            file.write(bytes(range(256)) * 4)
    os.rename('new', 'data')
    print('written')
"""

    async def stop_often() -> None:
        async with running_board(tmp_path, micropython, {"main.py": program}) as board:
            whole: list[str] = []
            board.on_line(lambda line: line.startswith("whole") and whole.append(line))
            for turn in range(12):
                await board.wait_line("written")
                await asyncio.sleep(0.0007 * turn)
                stopped = asyncio.create_task(board.wait_line("KeyboardInterrupt"))
                await asyncio.sleep(0)
                board.interrupt()
                await stopped
                board.type("\x04")
            await board.wait_line("written")
            assert whole == ["whole 6144"] * 12
            assert not [line for line in board.console if "torn" in line or "OSError" in line]
            assert (board.boots, board.flash.violations) == (2, 0)

    asyncio.run(stop_often())
