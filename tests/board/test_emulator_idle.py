"""An idle board costs nothing: neither its interpreter nor its supervisor wakes up for it."""

import asyncio
from pathlib import Path

from .emulator_bench import running_board


def wake_ups(pid: int) -> int:
    """Return how often a process has given up the processor of its own accord (proc(5))."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in text.splitlines() if line.startswith("voluntary_ctxt_switches"))
    return int(line.split()[1])


def test_a_sleep_is_one_wait(tmp_path, micropython):
    program = """
import machine, time
watchdog = machine.WDT(timeout=8000)
while True:
    print('round')
    for _ in range(10):
        time.sleep_ms(40)
        time.sleep(0.01)
        watchdog.feed()
"""

    async def count() -> None:
        async with running_board(tmp_path, micropython, {"main.py": program}) as board:
            await board.wait_line("round")
            await board.wait_line("round")
            messages = 0
            handle = board._messages.handle

            def counted(message: bytes) -> bytes | None:
                nonlocal messages
                messages += 1
                return handle(message)

            assert board._process is not None
            board._process._on_message = counted
            # The quietest of some rounds: a busy machine may show us the end of one late, when the next has begun.
            woken = []
            for _ in range(6):
                before = wake_ups(board._process.pid)
                await board.wait_line("round")
                woken.append(wake_ups(board._process.pid) - before)
            # 20 sleeps; sleeping in the interpreter's own way would wake up some 500 times.
            assert sorted(woken)[2] <= 60 and max(woken) > 0, woken
            assert messages == 0, "sleeping and feeding the watchdog woke the supervisor"

    asyncio.run(count())


def test_a_prompt_that_waits_does_not_wake(tmp_path, micropython):
    async def count() -> None:
        async with running_board(tmp_path, micropython) as board:
            await board.wait_line("help()")
            assert board._process is not None
            before = -1
            async with asyncio.timeout(120):  # it has to come to its prompt first
                while (now := wake_ups(board._process.pid)) != before:
                    before = now
                    await asyncio.sleep(0.3)

    asyncio.run(count())
