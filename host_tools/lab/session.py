"""A lab from start to end: with a screen until Ctrl-C, or through a scenario without anybody watching."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.console import Console

from host_tools.lab import live, runner
from host_tools.lab.control import ControlServer
from host_tools.lab.folder import LabFolder
from host_tools.lab.lab import Lab, Report, running
from host_tools.lab.plan import Plan
from host_tools.lab.settings import Settings
from host_tools.lab.snapshot import snapshot
from host_tools.lab.verbs import Verbs

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def watch_until_stopped(folder: LabFolder, settings: Settings, console: Console, report: Report) -> None:
    """Run a lab and show it until SIGINT or SIGTERM; then print a summary."""
    with _ended_by_signals(report):
        async with _open_lab(folder, settings, report) as lab:
            report("waiting for the first reading")
            await lab.await_first_reading()
            stop = asyncio.Event()
            _on_signals(stop.set)
            await live.show(lab, stop, console)
            end = snapshot(lab)
    console.print(live.summary(end), soft_wrap=True, highlight=False)


async def run_scenario(folder: LabFolder, settings: Settings, plan: Plan, report: Report) -> runner.Outcome:
    """Run a lab through `plan` and return what came of it; SIGINT and SIGTERM end it as KeyboardInterrupt."""
    with _ended_by_signals(report):
        async with _open_lab(folder, settings, report) as lab:
            return await runner.run(lab, plan, report)


@asynccontextmanager
async def _open_lab(folder: LabFolder, settings: Settings, report: Report) -> AsyncIterator[Lab]:
    """Run a lab whose door is open to other terminals."""
    async with running(folder, settings, report) as lab:
        verbs = Verbs(lab)
        door = ControlServer(folder, verbs.handle)
        await door.start()
        try:
            yield lab
        finally:
            await door.stop()
            await verbs.close()


@contextmanager
def _ended_by_signals(report: Report) -> Iterator[None]:
    """Let SIGINT and SIGTERM cancel what runs here, so that board and hub are ended in order, whatever they do."""
    task = asyncio.current_task()
    assert task is not None

    def end() -> None:
        report("ending")  # what compiles or downloads is waited for
        task.cancel()

    _on_signals(end)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)


def _on_signals(act: Callable[[], object]) -> None:
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, act)
