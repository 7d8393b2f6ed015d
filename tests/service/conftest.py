"""The Pi of tests/pi, for tests of its package, and the package itself, built once."""

import pytest

from host_tools.service import deb
from tests.pi.conftest import make_pi as make_pi


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """Version 0.1.0 for this machine's architecture."""
    return deb.build(tmp_path_factory.mktemp("package"), version="0.1.0", report=lambda _: None)
