"""What the power-cut tests counted is printed at the end of the run, passed or not."""

import pytest

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture
def report(request):
    """Return a function that keeps a line for the end of the run."""
    return request.config.stash.setdefault(_LINES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(_LINES, []):
        terminalreporter.write_line(line)
