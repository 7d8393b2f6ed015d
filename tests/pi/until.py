"""Waiting for what a process will do, with an end."""

import asyncio
import time


async def until(condition, what="it never came true", timeout_s=120):
    """Return when `condition()` is true; fail with `what` (a text, or a callable that makes one) after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        await asyncio.sleep(0.02)
