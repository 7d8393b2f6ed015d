"""The figures of `fieldpost bench outage` as a picture: what became of each second's readings, drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from host_tools.bench.outage.contestants import INTERVAL_MS
from host_tools.bench.outage.measure import Figures, Result

_WIDTH, _MARGIN, _LABEL = 860, 20, 190
_ROW, _BAND, _HEAD = 62, 40, 74
_ARRIVED, _LOST, _NOT_TAKEN = "#0b6e4f", "#c2410c", "#d9dee4"
_INK, _FAINT, _PAPER = "#1f2933", "#616e7c", "#ffffff"
_FAULTS: Final = {"link": ("no link", "#eef2f7"), "power": ("no power", "#f8e3b4"), "broker": ("no broker", "#e7e0f5")}
_LEGEND: Final = ((_ARRIVED, "arrived"), (_LOST, "taken, then lost"), (_NOT_TAKEN, "due, never taken"))


def draw(figures: Figures) -> str:
    """Return the picture as the text of an SVG file."""
    results = list(figures.results.values())
    height = _HEAD + _ROW * len(results) + 30
    length_s = figures.schedule.length_s
    per_s = (_WIDTH - _LABEL - 2 * _MARGIN) / length_s
    left = _MARGIN + _LABEL
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13">',
        "<title>What became of each second's readings, as fieldpost bench outage measured it</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        f'<text x="{_MARGIN}" y="26" font-weight="600" font-size="15" fill="{_INK}">Readings through outages, power '
        "cuts and a restart of the broker</text>",
        *_legend(),
    ]
    bottom = _HEAD + _ROW * len(results)
    for what, spans in figures.schedule.spans().items():
        _, colour = _FAULTS[what]
        for span in spans:
            parts.append(
                f'<rect x="{left + span.start_s * per_s:.1f}" y="{_HEAD - 8}" width="{span.length_s * per_s:.1f}" '
                f'height="{bottom - _HEAD + 8}" fill="{colour}"/>'
            )
    dark = {
        second for span in figures.schedule.spans()["power"] for second in range(int(span.start_s), int(span.end_s))
    }
    seconds = [second for second in range(int(length_s)) if second not in dark]
    for index, result in enumerate(results):
        parts += _row(result, _HEAD + index * _ROW, left, per_s, seconds)
    for second in range(0, int(length_s) + 1, 10):
        x = left + second * per_s
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" font-size="11" fill="{_FAINT}">{second}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts, x = [], _MARGIN
    faults = [(colour, words) for words, colour in _FAULTS.values()]
    for colour, words in (*_LEGEND, *faults):
        parts += [
            f'<rect x="{x}" y="38" width="12" height="12" rx="2" fill="{colour}"/>',
            f'<text x="{x + 17}" y="48" font-size="12" fill="{_FAINT}">{escape(words)}</text>',
        ]
        x += 34 + 7 * len(words)
    return parts


def _row(result: Result, top: int, left: int, per_s: float, seconds: Sequence[int]) -> list[str]:
    taken, arrived = (_in_seconds(moments, seconds[-1] + 1) for moments in (result.taken_s, result.arrived_s))
    most = 1000 / INTERVAL_MS
    parts = [
        f'<text x="{_MARGIN}" y="{top + 16}" font-weight="600" fill="{_INK}">{escape(result.title)}</text>',
        f'<text x="{_MARGIN}" y="{top + 32}" font-size="11" fill="{_FAINT}">{escape(_words(result))}</text>',
    ]
    for second in seconds:
        x, width = left + second * per_s, per_s - 0.6
        height = _BAND * min(taken[second] / most, 1.0)
        good = _BAND * min(arrived[second], taken[second]) / most
        shapes = ((_NOT_TAKEN, _BAND), (_LOST, height), (_ARRIVED, min(good, height)))
        parts += [
            f'<rect x="{x:.1f}" y="{top + _BAND - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{colour}"/>'
            for colour, tall in shapes
            if tall > 0
        ]
    return parts


def _words(result: Result) -> str:
    return f"{result.lost} lost, {max(result.due - result.taken, 0)} of {result.due} never taken"


def _in_seconds(moments: Sequence[float], seconds: int) -> list[int]:
    """Return how many of the moments lie in each second."""
    counts = [0] * seconds
    for moment in moments:
        if 0 <= moment < seconds:
            counts[int(moment)] += 1
    return counts
