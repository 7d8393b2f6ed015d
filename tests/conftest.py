"""What tests of the host side share: the tools that tests/run.sh sets up, or the reason why they are absent."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from host_tools.errors import UserError
from host_tools.toolchain import micropython as micropython_tool
from host_tools.toolchain import umqtt

# A busy machine is slow, and that is no fault of what is tested: hypothesis would fail an example of 0.2 s. The
# examples are the same in every run, so that a change is judged by what it changes; FIELDPOST_EXPLORE=1 draws others.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize="FIELDPOST_EXPLORE" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


def pytest_configure() -> None:
    # The device's link imports umqtt.simple, which pip cannot install. Last on the path: it hides nothing.
    try:
        sys.path.append(str(umqtt.find_or_download()))
    except UserError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def micropython() -> Path:
    """The interpreter that emulated boards run."""
    return Path(os.environ.get("MICROPYTHON") or micropython_tool.find_or_install())


@pytest.fixture(scope="session")
def mosquitto() -> Path:
    """A broker that owes nothing to this project, as an independent peer."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    return Path(found)
