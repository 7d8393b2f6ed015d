"""Durations, rates and spans: what is understood and what is refused in one sentence."""

import pytest

from host_tools.errors import UserError
from host_tools.lab.quantities import Span, duration_s, rate_hz, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("500ms", 0.5), ("2m", 120), ("2min", 120), ("1h", 3600), ("1m30s", 90), ("1.5s", 1.5)],
)
def test_durations(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "10 s", "1s2", "10x", "0s", "8000h", "1e3s", "٣s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UserError, match="duration"):
        duration_s(text)


def test_rates():
    assert rate_hz("5/s") == 5
    assert rate_hz("30/min") == 0.5
    assert rate_hz("1/h") == pytest.approx(1 / 3600)


@pytest.mark.parametrize("text", ["", "5", "5/", "/s", "5/d", "0/s", "21/s", "-5/s", "1/ms"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UserError, match="rate"):
        rate_hz(text)


def test_spans():
    assert span("10s@15s") == Span(15, 10)
    assert span("10s@0s") == Span(0, 10)
    assert span("35s", default_length_s=2) == Span(35, 2)
    assert span("1s@35s", default_length_s=2) == Span(35, 1)


@pytest.mark.parametrize("text", ["10s", "10s@", "@10s", "10s@15", "0s@3s", "1s@2s@3s"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(UserError):
        span(text)
