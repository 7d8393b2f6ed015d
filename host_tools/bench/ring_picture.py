"""The figures of `fieldpost bench ring` as a picture: bars, drawn as SVG without anything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from host_tools.bench.on_disk import spread
from host_tools.bench.ring import RingFigures

_WIDTH = 760
_LABEL_RIGHT = 300  # where labels end and bars begin
_BAR_RIGHT = 680  # where the longest bar ends; its value stands behind it
_ROW = 22
_BAR = 14
_HEAD = 44
_GAP = 18
_MARGIN = 24
_OURS, _OTHERS, _INK, _FAINT, _PAPER = "#0b6e4f", "#9aa5b1", "#1f2933", "#616e7c", "#ffffff"


@dataclass(frozen=True)
class _Bar:
    label: str
    value: float
    text: str
    is_ours: bool


@dataclass(frozen=True)
class _Panel:
    title: str
    note: str
    bars: Sequence[_Bar]

    @property
    def height(self) -> int:
        return _HEAD + _ROW * len(self.bars)


def draw(figures: RingFigures) -> str:
    """Return the picture as the text of an SVG file."""
    panels = _panels(figures)
    height = 2 * _MARGIN + sum(panel.height for panel in panels) + _GAP * (len(panels) - 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13">',
        "<title>The ring beside littlefs, SQLite and persist-queue, as fieldpost bench ring measured them</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
    ]
    top = _MARGIN
    for panel in panels:
        parts += _draw_panel(panel, top)
        top += panel.height + _GAP
    return "\n".join([*parts, "</svg>", ""])


def _panels(figures: RingFigures) -> list[_Panel]:
    flash = [one for one in figures.flash if "ESP32" in one.title]
    modelled = "model of a flash part, 64 B records taken away in batches of 10; less is better"
    disk = f"{figures.disk_kind}, median of {len(figures.disk[0].appends)} turns; more is better"

    def on_flash(title: str, values: Sequence[float], form: str) -> _Panel:
        bars = [
            _Bar(one.title, value, format(value, form), one.title.startswith("ring"))
            for one, value in zip(flash, values, strict=True)
        ]
        return _Panel(title, modelled, bars)

    def on_disk(title: str, rates: Sequence[Sequence[float]]) -> _Panel:
        bars = []
        for index, (one, rounds) in enumerate(zip(figures.disk, rates, strict=True)):
            median = spread(rounds).median
            bars.append(_Bar(one.title, median, f"{median:,.0f}", index == 0))
        return _Panel(title, disk, bars)

    return [
        on_flash("Bytes programmed for each byte of payload", [one.programmed_ratio for one in flash], ".2f"),
        on_flash("Sector erases for each record", [one.erases for one in flash], ".4f"),
        on_flash("Modelled ms for each record, erases included", [one.modelled_ms for one in flash], ".2f"),
        on_flash("Modelled ms of the slowest append", [one.append_worst_ms for one in flash], ".1f"),
        on_disk("Appends a second, each durable by itself", [one.appends for one in figures.disk]),
        on_disk("Appends a second, ten durable together", [one.grouped_appends for one in figures.disk]),
        on_disk("Get and acknowledge a second, one by one", [one.get_acks for one in figures.disk]),
    ]


def _draw_panel(panel: _Panel, top: int) -> list[str]:
    parts = [
        f'<text x="{_MARGIN}" y="{top + 14}" font-weight="600" fill="{_INK}">{escape(panel.title)}</text>',
        f'<text x="{_MARGIN}" y="{top + 31}" font-size="11" fill="{_FAINT}">{escape(panel.note)}</text>',
    ]
    longest = max(bar.value for bar in panel.bars) or 1
    for index, bar in enumerate(panel.bars):
        y = top + _HEAD + index * _ROW
        base = y + _BAR - 3
        # A hair at least: nothing to be seen would read as nothing measured.
        width = max((_BAR_RIGHT - _LABEL_RIGHT) * bar.value / longest, 1)
        style = f'fill="{_INK}"' + (' font-weight="600"' if bar.is_ours else "")
        parts += [
            f'<text x="{_LABEL_RIGHT - 10}" y="{base}" text-anchor="end" {style}>{escape(bar.label)}</text>',
            f'<rect x="{_LABEL_RIGHT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" '
            f'fill="{_OURS if bar.is_ours else _OTHERS}"/>',
            f'<text x="{_LABEL_RIGHT + width + 6:.1f}" y="{base}" {style}>{escape(bar.text)}</text>',
        ]
    return parts
