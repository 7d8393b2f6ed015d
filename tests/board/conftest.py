"""A local hub for the tests of whole boards."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from host_tools.hub import Hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(tmp_path / "hub")
    await hub.start()
    yield hub
    await hub.stop()
