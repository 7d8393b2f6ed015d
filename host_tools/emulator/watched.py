"""What can be seen of a board from outside, whatever runs it: its console, its status, whether it has power."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from host_tools.emulator.console import Console, Status

_LINES_SHOWN = 15


class Watched:
    """Of a board called `name`. Whoever runs it feeds `_console`, and sets and clears `_is_off`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._console = Console()
        self._is_off = asyncio.Event()
        self._is_off.set()

    @property
    def console(self) -> deque[str]:
        """The newest lines that the board printed, oldest first."""
        return self._console.lines

    @property
    def status(self) -> Status:
        """What the agent's last `status: ` line said; empty until there was one."""
        return self._console.status

    def on_status(self, callback: Callable[[Status], object]) -> None:
        """Call `callback(status)` for every `status: ` line."""
        self._console.on_status(callback)

    def on_line(self, callback: Callable[[str], object]) -> None:
        """Call `callback(line)` for every line of output."""
        self._console.on_line(callback)

    async def wait_state(self, wanted: str | Callable[[Status], bool], timeout_s: float = 30.0) -> Status:
        """Return the first status, the last one included, whose `state` is `wanted` or for which it is true.

        TimeoutError, with what the board printed last, if none comes.
        """

        def matches(status: Status) -> bool:
            return status.get("state") == wanted if isinstance(wanted, str) else bool(wanted(status))

        if self.status and matches(self.status):
            return self.status
        found: Status = await self._wait_for(self._console.on_status, matches, f"state {wanted}", timeout_s)
        return found

    async def wait_line(self, text: str, timeout_s: float = 30.0) -> str:
        """Return the next line that holds `text`; TimeoutError if none comes."""
        found: str = await self._wait_for(
            self._console.on_line, lambda line: text in line, f"a line with {text!r}", timeout_s
        )
        return found

    async def wait_off(self, timeout_s: float = 30.0) -> None:
        """Return when the board has no power any more, e.g. after `cut_power_at`; TimeoutError."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_off.wait()
        except TimeoutError:
            raise self._too_late("power cut", timeout_s) from None

    async def _wait_for(
        self,
        subscribe: Callable[[Callable[[Any], object]], None],
        matches: Callable[[Any], bool],
        what: str,
        timeout_s: float,
    ) -> Any:
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def look(item: Any) -> None:
            if not found.done() and matches(item):
                found.set_result(item)

        subscribe(look)
        try:
            async with asyncio.timeout(timeout_s):
                return await found
        except TimeoutError:
            raise self._too_late(what, timeout_s) from None
        finally:
            self._console.remove(look)

    def _too_late(self, what: str, timeout_s: float) -> TimeoutError:
        last = "\n  ".join(list(self.console)[-_LINES_SHOWN:]) or "nothing"
        return TimeoutError(f"{self.name}: no {what} within {timeout_s:g} s; it printed last:\n  {last}")
