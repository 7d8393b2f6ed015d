"""An emulated board: power switch, reset, watchdog, and the hardware around a real MicroPython.

                 +-- serial_port (pty) <-> terminal --+
    tools -------+                                    +-- stdin, stdout --+
    live view <-- console, status <-------------------+                   |
                                                                 MicroPython process, one per run,
    bme280 <- i2c wires <-+                                      with the modules of `chip/`
    pins   <--------------+-- chip messages (socket) <------------------- |
    flash  <--------------+                                               |
    hub    <- link <------------------------------------- TCP ------------+

Everything is driven by what arrives: a board that sleeps costs the supervisor nothing.
"""

import asyncio
import contextlib
import hashlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from host_tools.emulator import chip_build
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.chip_messages import ChipMessages
from host_tools.emulator.flash_file import FlashFile, wear_words
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.link import Link
from host_tools.emulator.pins import Pins
from host_tools.emulator.process import ChipProcess
from host_tools.emulator.registers import Registers
from host_tools.emulator.shape import BoardShape
from host_tools.emulator.starvation import taken_s
from host_tools.emulator.terminal import Terminal
from host_tools.emulator.watchdog import Watchdog
from host_tools.emulator.watched import Watched
from host_tools.errors import UserError

# What runs at the start: boot.py and main.py; boot.py before the raw prompt; nothing before the prompt.
Start = Literal["all", "raw", "prompt"]

# Clocks begin here when power comes: ESP-IDF counts from 2000 in MicroPython, rp2 sets 2021-01-01.
_POWER_ON_UTC_S = {"esp32": 946_684_800, "rp2": 1_609_459_200}
# What the modules of `chip/` take; on a board they lie in flash.
_EMULATOR_HEAP_BYTES = {4: 38 * 1024, 8: 52 * 1024}  # by the bytes of a word
_CRASHES_MAX = 3
_CRASH_FORGIVEN_S = 5.0
_OUTPUT_BYTES = 65536
# How long a program may compute before Ctrl-C ends it the hard way, and with all that a busy machine takes from it.
_INTERRUPT_DEADLINE_S = 0.5
_INTERRUPT_S_MAX = 5.0


def _unique_id(name: str, length: int) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[: 2 * length]


class EmulatedBoard(Watched):
    """One board; it is off until `power_on`.

    directory: keeps its flash between runs. upstream: (host, port) of the hub. seed: decides how interrupted
    flash operations look. terminal: its serial port, if that outlives this board; it is then not closed.
    is_one_of_many: it shall cost little of this machine (docs/benchmarks/hub.md, "Many boards"): its heap is not
    measured, garbage is collected when the heap is full, its sensor converts at once, and hub and emulator go first.
    UserError if the flash in `directory` is not this board's.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        shape: BoardShape,
        micropython: Path,
        upstream: tuple[str, int],
        seed: int = 0,
        terminal: Terminal | None = None,
        is_one_of_many: bool = False,
    ) -> None:
        super().__init__(name)
        self.directory = directory
        self.shape = shape
        self.boots = 0
        self.reset_causes: list[str] = []
        self.power_cuts = 0
        self.has_crashed = False
        self._registers = Registers(wear_words(shape))
        self.bme280 = Bme280(
            shared=self._registers.sensor if is_one_of_many else None, address=shape.bme280_address or 0
        )
        self.i2c = I2cWires(self.bme280.ask_again)
        if shape.bme280_address is not None:
            self.i2c.attach(shape.bme280_address, self.bme280)
        self.link = Link(upstream, self._catch_up)
        try:
            self.flash: FlashFile = FlashFile(directory, shape, seed, self._registers.wear)
        except UserError:
            self._registers.close()
            raise
        self._registers.access_point = True
        self._is_one_of_many = is_one_of_many
        self._registers.measure_heap(not is_one_of_many)
        self.pins = Pins(self._registers, shape.inputs)
        self._micropython = micropython
        self._modules: Path | None = None
        self._messages = ChipMessages(self, self.flash, self.pins, self.i2c, shape.i2c)
        self._terminal = terminal
        self._owns_terminal = terminal is None
        if terminal is not None:
            terminal.connect(self._input, self._interrupt, self._resume_output)
        self._stdio, self._chip_stdio = socket.socketpair()
        self._stdio.setblocking(False)
        self._process: ChipProcess | None = None
        self._has_power = False
        self._next_start: tuple[str, Start] | None = None  # (cause, what to run) once the process has ended
        self._start_timer: asyncio.TimerHandle | None = None
        self._is_listening = False
        self._interrupt_waits = False
        self._interrupt_timer: asyncio.TimerHandle | None = None
        self._interrupted_s = self._taken_s = 0.0
        self._on_bootloader: Callable[[], object] = self.press_reset
        self._watchdog = Watchdog(self._registers, lambda: self.starved_seconds, lambda: self._reset("watchdog"))
        self._started_s = 0.0
        self._crashes = 0
        self._dead_cpu_s = 0.0
        self._heap_peak_bytes = 0

    # The power switch

    @property
    def powered(self) -> bool:
        """Whether the board has power."""
        return self._has_power

    async def power_on(self) -> None:
        """Give power: the board starts from its flash. Nothing happens if it is on."""
        if self._has_power:
            return
        await self._set_up()
        await self._wait_for_process()
        self.flash.power_up()
        self._registers.power_on()
        self.pins.power_on()
        self.bme280.power_on()
        self._set_power_on_clock()
        self._crashes = 0
        self.has_crashed = False
        self._has_power = True
        self._is_off.clear()
        self._start("power", "all")

    async def power_off(self) -> None:
        """Cut the power, now, whatever the board is doing. Nothing happens if it is off."""
        if self._has_power:
            self._cut_power()
        await self._wait_for_process()

    async def power_cycle(self, off_s: float = 0.1) -> None:
        """Cut the power, wait, and give it back."""
        await self.power_off()
        await asyncio.sleep(off_s)
        await self.power_on()

    def cut_power_at(self, flash_operation: int) -> None:
        """Cut the power inside the n-th program or erase from now (1 is the next), which is left half done.

        The board stays off until `power_on`; `wait_off` tells when it happened.
        """
        if flash_operation < 1:
            raise UserError(f"flash operation {flash_operation}: count from 1")
        self.flash.cut_at(flash_operation - 1)

    def cut_power_at_edge(self, nth: int, before: bool, gpio: int | None = None) -> None:
        """Cut the power at the n-th change of a pin by the program from now (1 is the next), on `gpio` or anywhere.

        before: the change does not happen any more; else it is the last thing that does. As in `cut_power_at`,
        the board stays off until `power_on`.
        """
        if nth < 1:
            raise UserError(f"edge {nth}: count from 1")
        self.pins.cut_at_edge(nth, before, gpio)

    def press_reset(self) -> None:
        """Press the reset button: like `machine.reset()`, whatever the program does."""
        if self._has_power:
            self._reset("reset")

    async def close(self) -> None:
        """Switch off and give everything back; the flash stays in its directory."""
        await self.power_off()
        await self.link.stop()
        if self._terminal is not None:
            if self._owns_terminal:
                self._terminal.close()
            else:
                self._terminal.disconnect()
        if self._modules is not None:
            asyncio.get_running_loop().remove_reader(self._stdio.fileno())
        self._stdio.close()
        self._chip_stdio.close()
        self.flash.close()
        self._registers.close()

    # What can be seen from outside

    @property
    def serial_port(self) -> Path:
        """The board's serial port, a pty; `serial` in its directory is a lasting name for it.

        Opened when first asked for, inside a running loop. Tools are quicker on the pty itself: mpremote polls
        other ports every 10 ms.
        """
        if self._terminal is None:
            self._terminal = Terminal(self.directory / "serial")
            self._terminal.connect(self._input, self._interrupt, self._resume_output)
        return Path(self._terminal.path)

    def on_bootloader(self, callback: Callable[[], object]) -> None:
        """Call `callback()` when the program asks for the boot loader; without one, it is a reset."""
        self._on_bootloader = callback

    def type(self, text: str) -> None:
        """Type on the board's console; Ctrl-C is `interrupt`."""
        self._input(text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C on the board's console."""
        self._interrupt()

    @property
    def heap_peak_bytes(self) -> int:
        """Most heap that the board's programs had in use at any sleep or watchdog feed, in all runs.

        Garbage that was not collected yet counts, so it may come near `shape.heap_bytes` without any harm.
        """
        now = self._registers.heap_peak_bytes - self._registers.heap_base_bytes
        return max(self._heap_peak_bytes, now)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the board's interpreter, all runs together."""
        return self._dead_cpu_s + (self._process.live_cpu_s() if self._process is not None else 0.0)

    @property
    def starved_seconds(self) -> float:
        """Seconds in which this run of the interpreter could have gone on, had the machine not been busy."""
        return self._process.starved_s() if self._process is not None else 0.0

    @property
    def access_point(self) -> bool:
        """Whether the Wi-Fi network is in range. Out of range, the link is down too."""
        return self._registers.access_point

    @access_point.setter
    def access_point(self, in_range: bool) -> None:
        self._registers.access_point = in_range
        if in_range:
            self.link.up()
        else:
            self.link.down()

    # What the chip asks for (ChipMessages)

    @property
    def has_power(self) -> bool:
        """Whether messages of the chip still matter: it has power and is not being reset."""
        return self._has_power and self._next_start is None

    def armed_cut_came(self) -> None:
        """The armed cut happened, inside a flash operation or at an edge."""
        self._cut_power()

    def watchdog_started(self, timeout_ms: int) -> None:
        """The program started the watchdog, or changed its time."""
        if self.has_power:
            self._watchdog.start(timeout_ms)

    def reset_asked(self, kind: str, after_ms: int) -> None:
        """The program asked for a reset."""
        if kind == "sleep":
            self._reset("sleep", after_ms / 1000)
        elif kind == "reset":
            self._reset("reset")
        elif kind == "bootloader":
            self._on_bootloader()
        else:
            self._next_start = ("soft", "raw" if kind == "soft raw" else "all")
            self._end_process()

    def chip_ready(self) -> None:
        """The chip has mounted its file system and can be interrupted."""
        self._is_listening = True
        if self._interrupt_waits:
            self._interrupt()

    def interrupt_taken(self) -> None:
        """The interrupt that was sent has reached the program."""
        if self._interrupt_timer is not None:
            self._interrupt_timer.cancel()
            self._interrupt_timer = None

    # Starting and ending

    async def _set_up(self) -> None:
        if self._modules is None:
            self._modules = chip_build.build()
            await self.link.start()
            self._registers.set_relay_port(self.link.port)
            self._registers.set_names_port(self.link.names.port)
            self._registers.set_time_port(self.link.clock.port)
            asyncio.get_running_loop().add_reader(self._stdio.fileno(), self._output)

    def _start(self, cause: str, start: Start) -> None:
        assert self._modules is not None
        is_soft = cause == "soft"
        if not is_soft:
            self.boots += 1
            self.reset_causes.append(cause)
        self._started_s = time.monotonic()
        self._watchdog.begin()
        # An RP2040 does not notice a soft reset: its cause stays that of the last real one.
        told_cause = self.reset_causes[-1] if is_soft and self.shape.kind == "rp2" else cause
        self._registers.start_process(self._chip_config(told_cause, start))
        self._process = ChipProcess(
            self._micropython,
            ["-X", f"heapsize={self.shape.heap_bytes + _EMULATOR_HEAP_BYTES[self.shape.word_bytes]}"],
            self._modules,
            self._chip_stdio.fileno(),
            self._registers.fd,
            self._messages.handle,
            self._ended,
            self._is_one_of_many,
        )

    def _chip_config(self, cause: str, start: Start) -> dict[str, Any]:
        return {
            "port": self.shape.kind,
            "image": str(self.flash.path.resolve()),
            "flash_bytes": self.shape.flash_bytes,
            "weak": self.flash.weak_span,
            "many": self._is_one_of_many,
            "romfs": self.shape.has_romfs,
            "partitions": [[row.type, row.subtype, row.offset, row.size, row.label] for row in self.shape.partitions],
            "cause": f"by {cause}",  # no name that one interpreter has in ROM and one has not: heaps begin alike
            "start": start,
            "id": _unique_id(self.name, 6 if self.shape.kind == "esp32" else 8),
        }

    def _cut_power(self) -> None:
        self._has_power = False
        self.power_cuts += 1
        self._next_start = None
        self.interrupt_taken()  # or lost: it makes no difference now
        self._interrupt_waits = False
        self.flash.cut_off()
        self.pins.forget_cut()
        self._stop_timers()
        self._end_process()
        self._forget_input()
        self._is_off.set()

    def _reset(self, cause: str, after_s: float = 0.0) -> None:
        """Reset the chip; it starts again `after_s` later."""
        if self._next_start is not None:
            return
        self._next_start = (cause, "all")
        self._stop_timers()
        if self.shape.kind == "rp2":
            self._set_power_on_clock()
        self._end_process()
        if after_s:
            loop = asyncio.get_running_loop()
            self._start_timer = loop.call_later(after_s, self._start_again)

    def _end_process(self) -> None:
        # Whatever ends the chip, its peer hears nothing of it: there is nobody left to say goodbye.
        self.link.board_lost_power()
        if self._process is not None:
            self._process.kill()

    def _ended(self, process: ChipProcess) -> None:
        self._output()
        self._console.break_line()
        self._dead_cpu_s += process.cpu_s
        self._process = None
        self._is_listening = False
        if self._interrupt_timer is not None:
            self.interrupt_taken()
            self._interrupt_waits = True  # it ended before the interrupt reached it: the next run gets it
        self._heap_peak_bytes = self.heap_peak_bytes
        self.flash.save()
        if self._has_power and self._next_start is None:
            self._crashed(process)
        is_soft = self._next_start is not None and self._next_start[0] == "soft"
        if is_soft:
            self.pins.stop_pwm()
        else:
            self.pins.release()
        if self._next_start is not None and self._start_timer is None:
            self._start_again()

    def _start_again(self) -> None:
        self._start_timer = None
        if self._next_start is None or self._process is not None:
            return
        cause, start = self._next_start
        self._next_start = None
        if cause != "soft":
            self._registers.power_on()
            self.pins.power_on()
        self._start(cause, start)

    def _crashed(self, process: ChipProcess) -> None:
        """The interpreter itself ended, which on a board is a fault followed by a reset."""
        if time.monotonic() - self._started_s > _CRASH_FORGIVEN_S:
            self._crashes = 0
        self._crashes += 1
        if self._crashes < _CRASHES_MAX:
            self._next_start = ("reset", "all")
            return
        self.has_crashed = True
        self._console.feed(
            f"emulator: the interpreter ended {self._crashes} times in a row (wait status {process.status}); "
            "the board stays dead until its power is cycled\n".encode()
        )

    async def _wait_for_process(self) -> None:
        process = self._process
        if process is not None:
            await process.wait()

    def _stop_timers(self) -> None:
        self._watchdog.stop()
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None

    def _set_power_on_clock(self) -> None:
        self._registers.set_clock_offset_ns(_POWER_ON_UTC_S[self.shape.kind] * 1_000_000_000 - time.time_ns())

    # The serial line

    def _output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := self._stdio.recv(_OUTPUT_BYTES):
                self._catch_up()
                self._show(data)
                if self._terminal is not None and self._terminal.is_full:
                    asyncio.get_running_loop().remove_reader(self._stdio.fileno())
                    return

    def _catch_up(self) -> None:
        """Take over what the program did, e.g. to its pins, before what it said then is passed on."""
        if self._process is not None:
            self._process.catch_up()

    def _show(self, data: bytes) -> None:
        self._console.feed(data)
        if self._terminal is not None:
            self._terminal.write(data)

    def _resume_output(self) -> None:
        asyncio.get_running_loop().add_reader(self._stdio.fileno(), self._output)

    def _input(self, data: bytes) -> None:
        if self._has_power:
            # A board that does not read loses what does not fit, as a UART does.
            with contextlib.suppress(BlockingIOError):
                self._stdio.send(data)

    def _interrupt(self) -> None:
        if not self._has_power:
            return
        self._interrupt_waits = not self._is_listening  # a tool's bridge keeps what is sent during a reset
        if self._is_listening and self._interrupt_timer is None and self._process is not None:
            self._registers.announce_interrupt()
            self._process.interrupt()
            self._interrupted_s, self._taken_s = time.monotonic(), taken_s(self.starved_seconds)
            loop = asyncio.get_running_loop()
            self._interrupt_timer = loop.call_later(_INTERRUPT_DEADLINE_S, self._stop_program)

    def _stop_program(self) -> None:
        """Stop a program that never waits: what it has in memory goes, as it would with the reset that follows."""
        self._interrupt_timer = None
        if self._next_start is not None:
            self._interrupt_waits = True
            return
        before_s, self._taken_s = self._taken_s, taken_s(self.starved_seconds)
        left_s = self._interrupted_s + _INTERRUPT_S_MAX - time.monotonic()
        owed_s = min(self._taken_s - before_s, left_s)
        if owed_s > 0.01:
            self._interrupt_timer = asyncio.get_running_loop().call_later(owed_s, self._stop_program)
            return
        self._next_start = ("soft", "prompt")
        self._end_process()
        self._show(b"\r\nKeyboardInterrupt\r\n")

    def _forget_input(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._chip_stdio.recv(_OUTPUT_BYTES, socket.MSG_DONTWAIT):
                pass
