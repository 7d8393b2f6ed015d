"""Pins between 0 and 1, and the power that goes at an edge."""

import time

import pytest

from host_tools.emulator import BoardShape
from host_tools.emulator.pins import Pwm
from host_tools.errors import UserError

from .emulator_bench import run, running_board, small_esp32

both = pytest.mark.parametrize("shape", [small_esp32(), BoardShape.pico_w()], ids=["esp32", "pico_w"])


@both
async def test_pwm_is_seen_with_duty_and_frequency_and_ends_with_the_power(tmp_path, micropython, shape):
    async with running_board(tmp_path, micropython, shape=shape) as board:
        await board.wait_line("help()")
        pin = board.pins[16]
        printed = await run(
            board,
            "import machine\n"
            "p = machine.PWM(machine.Pin(16, machine.Pin.OUT, value=0), freq=1000, duty_u16=0)\n"
            "print(p.freq(), p.duty_u16())\n",
        )
        assert printed == ["1000 0"]
        assert (pin.pwm, pin.level, pin.is_output) == (Pwm(1000, 0), 0, True)
        await run(board, "p.duty_u16(16384)\np.freq(2500)\nmachine.Pin(16).value(1)")
        assert (pin.pwm, pin.level) == (Pwm(2500, 16384), 1)
        assert await run(board, "print(p.duty_ns())\np.duty_ns(200000)\nprint(p.duty_u16())") == ["100001", "32767"]
        assert [edge.level for edge in pin.edges] == [1], "changes of duty are no edges"

        await run(board, "p.deinit()")
        assert (pin.pwm, pin.level, pin.edges[-1].cause) == (None, 0, "agent")
        await run(board, "p = machine.PWM(16, freq=50, duty_u16=65535)")
        await run(board, "machine.Pin(16, machine.Pin.OUT, value=1)")
        assert (pin.pwm, pin.level) == (None, 1), "an output again"

        await run(board, "p = machine.PWM(16, freq=50, duty_u16=65535)")
        await board.power_off()
        assert (pin.pwm, pin.level, pin.edges[-1].cause) == (None, 0, "power")


async def test_whoever_reads_what_a_program_said_sees_what_it_did_before(tmp_path, micropython):
    """Method: a slow reader, so that pins and console both have news when it looks."""
    seen = []
    async with running_board(tmp_path, micropython) as board:
        await board.wait_line("help()")

        def look(line):
            if "level " in line:
                time.sleep(0.05)
                seen.append(len(board.pins[16].edges) > int(line.split()[-1]))

        board.on_line(look)
        await run(
            board,
            "import machine\np = machine.Pin(16, machine.Pin.OUT)\n"
            "for n in range(20):\n p.value(not p.value())\n print('level', n)\n",
        )
    assert seen == [True] * 20


async def test_pwm_ends_at_a_soft_reset_and_levels_do_not(tmp_path, micropython):
    async with running_board(tmp_path, micropython, {"main.py": "print('started')"}) as board:
        await board.wait_line("help()")
        await run(
            board,
            "import machine\nmachine.Pin(17, machine.Pin.OUT, value=1)\nmachine.PWM(16, freq=50, duty_u16=30000)",
        )
        assert (board.pins[16].level, board.pins[17].level) == (1, 1)
        board.type("machine.soft_reset()\r")
        await board.wait_line("started")
        assert (board.pins[16].pwm, board.pins[16].level, board.pins[17].level) == (None, 0, 1)


@both
async def test_a_chip_refuses_frequencies_that_it_cannot_make(tmp_path, micropython, shape):
    program = """
import machine
for frequency in (0, 7, 8, 40000000, 62500001):
    try:
        machine.PWM(16, freq=frequency, duty_u16=1)
        print(frequency)
    except ValueError as error:
        print(error)
"""
    async with running_board(tmp_path, micropython, shape=shape) as board:
        await board.wait_line("help()")
        printed = await run(board, program)
    if shape.kind == "esp32":
        refused = "frequency must be from 1Hz to 40MHz"
        assert printed == [refused, "7", "8", "40000000", refused]
    else:
        assert printed == ["freq too small", "freq too small", "8", "40000000", "freq too large"]


async def test_an_esp32_measures_a_voltage_within_its_attenuation(tmp_path, micropython):
    program = """
import machine
adc = machine.ADC(machine.Pin(34), atten=machine.ADC.ATTN_11DB)
print(adc.read_u16(), adc.read_uv(), adc.read())
print(machine.ADC(34).read_uv())
"""
    async with running_board(tmp_path, micropython) as board:
        await board.wait_line("help()")
        assert await run(board, program) == ["0 0 0", "0"]
        board.pins.set_voltage(34, 1.65)
        # 12 bits of 3.3 V; without attenuation the converter is full at 1.1 V.
        assert await run(board, program) == ["32776 1650000 2048", "1100000"]
        await board.power_cycle(off_s=0)
        await board.wait_line("help()")
        assert (await run(board, program))[0] == "32776 1650000 2048", "a voltage from outside stays"
        refused = "try:\n machine.ADC(16)\nexcept ValueError as error:\n print(error)"
        assert await run(board, refused) == ["invalid pin"]
        with_radio = """
import network
adc2 = machine.ADC(25)
print(adc2.read_u16())
network.WLAN(network.STA_IF).active(True)
try:
    adc2.read_u16()
except OSError as error:
    print(error.args[1])
"""
        assert await run(board, with_radio) == ["0", "ESP_ERR_TIMEOUT"]
        with pytest.raises(UserError, match="destroy"):
            board.pins.set_voltage(34, 5.0)


async def test_a_pico_measures_in_counts_alone(tmp_path, micropython):
    async with running_board(tmp_path, micropython, shape=BoardShape.pico_w()) as board:
        await board.wait_line("help()")
        board.pins.set_voltage(27, 3.3)
        program = (
            "import machine\nprint(machine.ADC(27).read_u16(), machine.ADC(1).read_u16(), machine.ADC(26).read_u16())\n"
            "print(hasattr(machine.ADC, 'read_uv'), hasattr(machine.ADC, 'ATTN_11DB'))"
        )
        assert await run(board, program) == ["65535 65535 0", "False False"]


STEPS = """
import machine
f = open('log', 'wb')
relay = machine.Pin(26, machine.Pin.OUT, value=0)
other = machine.Pin(27, machine.Pin.OUT, value=0)
for level in (1, 0, 1, 0):
    other.value(level)
    relay.value(level)
    relay.value(level)
    f.write(b'%d' % level)
    f.flush()
print('through')
"""
READ_STEPS = "import os\nprint(open('log').read() if 'log' in os.listdir() else 'none')\n"


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 4])
async def test_the_power_goes_at_the_named_edge_and_nothing_comes_after_it(tmp_path, micropython, nth, before):
    async with running_board(tmp_path, micropython, {"steps.py": STEPS}) as board:
        await board.wait_line("help()")
        board.cut_power_at_edge(nth, before, gpio=26)
        board.type("import steps\r")
        await board.wait_off()
        await board.power_off()
        by_program = [edge.level for edge in board.pins[26].edges if edge.cause == "agent"]
        assert by_program == [1, 0, 1, 0][: nth - before]
        assert len([edge for edge in board.pins[27].edges if edge.cause == "agent"]) == nth
        assert board.pins[26].level == 0
        assert "through" not in board.console

        await board.power_on()
        await board.wait_line("help()")
        assert await run(board, READ_STEPS) == (["1010"[: nth - 1]] if nth > 1 else []), "what came before the edge"
        board.type("import steps\r")
        await board.wait_line("through")
        assert board.powered, "a cut that came is over"


async def test_a_cut_at_an_edge_of_any_pin_counts_pwm_too(tmp_path, micropython):
    async with running_board(tmp_path, micropython) as board:
        await board.wait_line("help()")
        with pytest.raises(UserError, match="count from 1"):
            board.cut_power_at_edge(0, before=True)
        board.cut_power_at_edge(2, before=True)
        board.type("import machine; machine.Pin(26, machine.Pin.OUT, value=1); machine.PWM(16, freq=50, duty_u16=9)\r")
        await board.wait_off()
        await board.power_off()
        assert [edge.cause for edge in board.pins[26].edges] == ["agent", "power"]
        assert board.pins[16].edges == []
