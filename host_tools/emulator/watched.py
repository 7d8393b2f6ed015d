"""What can be seen of a board from outside, whatever runs it: console, status, flash, whether it has power."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from host_tools.emulator.console import Console, Status
from host_tools.emulator.flash_view import Flash, FlashView
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError

_LINES_SHOWN = 15
# How long is waited for what a board does within a second, on a machine that has much else to do.
WAIT_S = 120.0
_UNIT_BYTES = {"esp32": 4, "rp2": 1}


class Watched:
    """Of a board called `name`. Whoever runs it feeds `_console`, and sets and clears `_is_off`.

    flash, shape: the board's; set by whoever runs it.
    """

    flash: Flash
    shape: BoardShape

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

    def region(self, label: str) -> FlashView:
        """Return the flash region called `label`, for reading; UserError if the board has none."""
        try:
            row = self.shape.partition(label)
        except KeyError:
            known = ", ".join(row.label for row in self.shape.partitions)
            raise UserError(f"{self.name} has no flash region called {label}: it has {known}") from None
        first = row.offset // self.flash.sector_bytes
        return self.view(range(first, first + row.size // self.flash.sector_bytes))

    def view(self, sectors: range | list[int]) -> FlashView:
        """Return these sectors of the chip, in this order, for reading."""
        return FlashView(self.flash, sectors, _UNIT_BYTES[self.shape.kind])

    def queue_region(self) -> FlashView:
        """Return where the ring lives, for reading: the `queue` partition, or on rp2 the whole storage, whose
        lent blocks only the ring's own headers tell.
        """
        return self.region("queue" if self.shape.kind == "esp32" else "storage")

    async def wait_state(self, wanted: str | Callable[[Status], bool], timeout_s: float = WAIT_S) -> Status:
        """Return the first status, the last one included, whose `state` is `wanted` or for which it is true.

        TimeoutError, with what the board printed last, if none comes.
        """

        def matches(status: Status) -> bool:
            return status.get("state") == wanted if isinstance(wanted, str) else bool(wanted(status))

        if self.status and matches(self.status):
            return self.status
        found: Status = await self._wait_for(self._console.on_status, matches, f"state {wanted}", timeout_s)
        return found

    async def wait_line(self, text: str, timeout_s: float = WAIT_S) -> str:
        """Return the next line that holds `text`; TimeoutError if none comes."""
        found: str = await self._wait_for(
            self._console.on_line, lambda line: text in line, f"a line with {text!r}", timeout_s
        )
        return found

    async def wait_off(self, timeout_s: float = WAIT_S) -> None:
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
