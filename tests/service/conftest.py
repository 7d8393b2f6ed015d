"""The Pi of tests/pi, for tests of its package."""

from tests.pi.conftest import make_pi as make_pi
