"""The figures as people read them, and as the page docs/benchmarks/outage.md."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Final

from host_tools.bench.outage.contestants import INTERVAL_MS
from host_tools.bench.outage.measure import Figures, Result
from host_tools.lab.quantities import Span

_HEADS: Final = ("due", "not taken", "lost", "again", "longest pause", "flash bytes/reading", "erases/1000")
_PAGE: Final = """\
# What arrives, measured

    fieldpost bench outage {mqtt_as}--out docs

makes this page and the picture: emulated ESP32 boards, each a MicroPython interpreter of its own with sensor, flash,
plug and link, take a reading of their BME280 every {interval} ms for {length:g} s and publish it with QoS 1 to
{broker}. All meet the same faults at the same moments:

{faults}

At the end everything is up again, and each may send what it still has.

![{alt}](outage.svg)

| | due | not taken | lost | again | longest pause | flash bytes/reading | erases per 1,000 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

- *due*: what the interval asks for while the board has power. *not taken*: of these, readings that the program did not
  come to, since it was waiting for something. *lost*: taken, and never arrived. *again*: arrived once more; fieldpost's
  carry the same number and message id, so that who counts can tell.
- Counted by what the emulated sensor was asked for, and by what a subscriber heard: nobody's own word.
- *fieldpost* is the agent as it is flashed, at a plain broker without TLS, since the others have none here either.
  The record of each start is in its flash traffic.
- *umqtt.robust* {robust} and umqtt.simple run as the package index has them: publish and wait, reconnect when that
  fails.
- *and a file*: each reading is appended to a file on littlefs first and sent from there, which is what careful scripts
  do by hand.
{mqtt_as_words}- A reading that the plug interrupts in the middle is lost to everybody: one a cut at most.

On {machine}, Python {python}.
"""
_MQTT_AS: Final = """\
- *mqtt_as* is [Peter Hinch's](https://github.com/peterhinch/micropython-mqtt), unmodified; a task reads while another
  publishes, up to 500 readings wait in RAM. No package index has it, so `--mqtt-as` names its `mqtt_as/__init__.py`.
"""


def lines(figures: Figures) -> list[str]:
    """Return the lines to print."""
    found = [f"{'':<26}" + "".join(f"{head:>{len(head) + 3}}" for head in _HEADS)]
    for result in figures.results.values():
        cells = "".join(f"{cell:>{len(head) + 3}}" for head, cell in zip(_HEADS, _cells(result), strict=True))
        found.append(f"{result.title:<26}{cells}")
    return [
        *found,
        "",
        f"readings of {figures.schedule.length_s:g} s: {'; '.join(faults(figures))}; {figures.broker_version}",
    ]


def page(figures: Figures) -> str:
    """Return the page."""
    has_mqtt_as = "mqtt_as" in figures.results
    return _PAGE.format(
        mqtt_as="--mqtt-as FILE " if has_mqtt_as else "",
        mqtt_as_words=_MQTT_AS if has_mqtt_as else "",
        interval=INTERVAL_MS,
        length=figures.schedule.length_s,
        broker=figures.broker_version,
        faults="\n".join(f"- {line}" for line in faults(figures)),
        alt="Readings of each contestant over time: arrived, lost, not taken",
        rows="\n".join(f"| {one.title} | " + " | ".join(_cells(one)) + " |" for one in figures.results.values()),
        robust=figures.results["robust"].title.rpartition(" ")[2],
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def faults(figures: Figures) -> list[str]:
    """Return what happens, and when, in words."""
    spans = figures.schedule.spans()
    words = {"link": "the link is a black hole", "power": "the plug is out", "broker": "the broker is away"}
    return [f"{words[what]} {_at(spans[what])}" for what in words]


def _at(spans: Sequence[Span]) -> str:
    return " and ".join(f"from {span.start_s:g} to {span.end_s:g} s" for span in spans)


def _cells(result: Result) -> list[str]:
    readings = max(result.taken, 1)
    return [
        f"{result.due:,}",
        f"{max(result.due - result.taken, 0):,}",
        f"{result.lost:,}",
        f"{result.repeats:,}",
        f"{result.pause_s:.1f} s",
        f"{result.flash_bytes / readings:.0f}",
        f"{1000 * result.erases / readings:.0f}",
    ]
