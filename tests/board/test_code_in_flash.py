"""On a Pico W the agent's code lies in flash and takes next to no heap, whatever has happened to it there.

Goal: room for TLS and for what users add. Method: ask the interpreter of an emulated board where its functions'
bytecode lies, after starts with blocks that rotted, with a cut in the middle of the first one, and without the table.
"""

import asyncio
import struct

import pytest

from tests.board.agent_bench import board_with_agent, identity
from tests.board.emulator_bench import run

MAPPED_AT, MAPPED_BYTES = 0x1000_0000, 1 << 24

# What the functions and methods of the agent's big module are made of: how many have their bytecode in flash, and how
# many class tables are there.
ASK = f"""
import sys
from struct import calcsize, unpack_from
from uctypes import bytearray_at
W = calcsize("P")
def word(address, index):
    return unpack_from("P", bytearray_at(address + index * W, W))[0]
def is_in_flash(address):
    return {MAPPED_AT} <= address < {MAPPED_AT + MAPPED_BYTES}
def f(): pass
core = sys.modules["fieldpost.core"]
codes = []
tables = []
for value in core.__dict__.values():
    if type(value) is type(f):
        codes.append(word(id(value), 3))
    elif type(value) is type:
        tables.append(word(id(value.__dict__), 3))
        for inner in value.__dict__.values():
            if type(inner) is type(f):
                codes.append(word(id(inner), 3))
print(sum(map(is_in_flash, codes)), len(codes), sum(map(is_in_flash, tables)), len(tables))
with open("/code/map", "rb") as file:
    print("blocks", list(file.read()[4:-4]))
"""


def a_pico_w(tmp_path, micropython, hub):
    who = identity("chip", [hub.ca_der], key=hub.devices.create("chip").primary_key)
    return board_with_agent(tmp_path, micropython, hub.port, who, kind="pico_w")


async def has_delivered(board, after=0):
    """Wait until it has delivered something in a boot after number `after`."""
    await board.wait_state(lambda status: status["boot"] > after and status["acked"] > 2)


async def ask(board, after=0):
    """Return what the interpreter tells, the numbers of the blocks that hold code first. It stops the agent."""
    await has_delivered(board, after)
    lines = [line for line in await run(board, ASK) if line]
    counts = next(line for line in lines if line[:1].isdigit())
    blocks = bytes(eval(next(line for line in lines if line.startswith("blocks"))[6:]))
    return list(struct.unpack(f"<{len(blocks) // 2}H", blocks)), [int(word) for word in counts.split()]


def assert_in_flash(counts):
    codes_in_flash, codes, tables_in_flash, tables = counts
    assert codes > 300 and codes_in_flash >= codes - 5, counts
    assert tables > 30 and tables_in_flash >= tables - 2, counts


async def test_code_lies_in_flash_and_is_mended_there(tmp_path, micropython, hub):
    """Goal: blocks that rot cost a start some time, and nothing else."""
    async with a_pico_w(tmp_path, micropython, hub) as board:
        blocks, counts = await ask(board)
        assert_in_flash(counts)
        storage = board.shape.partition("storage").offset
        whole = [bytes(board.flash.memory[storage + 4096 * block :][:4096]) for block in blocks]
        await board.power_off()
        for number, block in enumerate(blocks):
            start = storage + 4096 * block
            board.flash.memory[start + 41 * number] ^= 0x10
            board.flash.memory[start + 100 : start + 140] = bytes(40)
        erases = board.flash.erases
        boot = board.status["boot"]
        await board.power_on()
        _, counts = await ask(board, boot)
        assert_in_flash(counts)
        assert board.flash.erases - erases >= len(blocks) // 2, "they were written anew"
        code = struct.unpack_from("B", (tmp_path / "firmware/fieldpost/code.bin").read_bytes(), 4)[0]
        mended = [bytes(board.flash.memory[storage + 4096 * block :][:4096]) for block in blocks]
        assert mended[:code] == whole[:code]


@pytest.mark.parametrize("operation", [9, 230, 451])
async def test_a_cut_while_code_is_written_costs_nothing(tmp_path, micropython, hub, operation):
    async with a_pico_w(tmp_path, micropython, hub) as board:
        board.cut_power_at(operation)
        await board.wait_off()
        await board.power_on()
        _, counts = await ask(board)
        assert_in_flash(counts)


async def test_without_the_table_it_runs_from_the_heap(tmp_path, micropython, hub):
    async with a_pico_w(tmp_path, micropython, hub) as board:
        await has_delivered(board)
        await run(board, "import os\nos.remove('/fieldpost/code.bin')")
        boot = board.status["boot"]
        told = asyncio.create_task(board.wait_line("code stays on the heap"))
        await board.power_cycle()
        await told
        await has_delivered(board, boot)
