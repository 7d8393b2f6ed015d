"""The figures as people read them, and as the page docs/benchmarks/link.md."""

from __future__ import annotations

import platform
import statistics
from typing import Final

from host_tools.bench.link.measure import HEAP_BYTES, WINDOW, Figures

# What is to be reached at a round trip of 50 ms (issue 5).
TARGETS: Final = {"messages_vs_umqtt": 15.0, "readings_vs_umqtt": 150.0, "readings_vs_azure_iot_device": 2.0}
RECONNECT_S_TARGET: Final = 2.0

_ROWS: Final = (
    ("umqtt", "umqtt.simple 1.3.4, one by one", "MicroPython"),
    ("unbatched", "fieldpost, a reading a message", "MicroPython"),
    ("batched", "fieldpost", "MicroPython"),
    ("sdk", "azure-iot-device, one by one", "CPython"),
    ("sdk_window", f"azure-iot-device, {WINDOW} under way", "CPython"),
    ("batched_cpython", "fieldpost", "CPython"),
)
_PAGE: Final = """\
# The link, measured

    fieldpost bench link --out docs

makes this page. A backlog of readings of a BME280 leaves a ring for the local hub: TLS with verification, SAS tokens,
every message on the hub's disk before it is acknowledged. All contestants go through the same relay, which adds the
round trip; they take turns, medians count. `--json` prints the figures as one object, `--quick` takes half a minute.

- *fieldpost* is the agent's own ring, outbox, session and link, on MicroPython compiled as on boards: {per_message:g}
  readings a message, as the configuration has it by default, or one; {window} messages under way.
- *umqtt.simple* 1.3.4 runs unmodified on the same interpreter. It imports `ussl`, which MicroPython gave up:
  `host_tools/bench/link/programs/ussl.py` is that name over `tls`. It publishes a reading and waits for its PUBACK.
- *azure-iot-device* {sdk} sends a reading a message, once one by one, once with {window} under way.
- TCP_NODELAY for both on MicroPython: umqtt.simple writes a packet in pieces and would wait 40 ms more for each.

On {machine}, Python {python}:

| | per second | {heads} |
| --- | --- | {rules} |
{rows}

| fieldpost as a multiple of | {heads} | target at 50 ms |
| --- | {rules} | ---: |
{ratios}

With a window of {window} and a round trip of 50 ms no more than {bound} messages/s can be acknowledged.

- Heap on MicroPython: at its highest {peak:.0f} KiB of {heap:.0f} KiB, garbage included; {grown} bytes more held at
  the end of a backlog than at its beginning. The smallest heap in which all of this runs, each module by itself:
  {smallest}. (These builds keep TLS memory outside; on a Pico W it takes 26 KB more.)
- On the wire: {wire:g} bytes towards the hub for a reading, handshake and TLS included.
- After a restart of the hub a reading of the device is stored {reconnect:.2f} s after the hub is back, median of
  {restarts}; the slowest took {slowest:.2f} s (target: {reconnect_target:g} s).
"""


def lines(figures: Figures) -> list[str]:
    """Return the lines to print."""
    trips = list(figures.rates)
    head = "".join(f"{ms:>9} ms" for ms in trips)
    found = [f"{'':<46}{'':<10}{head}"]
    for name, label, where in _ROWS:
        for unit in _units(name):
            cells = "".join(f"{figures.median(ms, name, unit):>10.0f}/s" for ms in trips)
            found.append(f"{label + ', ' + where:<46}{unit:<10}{cells}")
    found.append("")
    for ratio, target in TARGETS.items():
        cells = "".join(f"{figures.ratios(ms)[ratio]:>11.1f}x" for ms in trips)
        found.append(f"{ratio:<56}{cells}  target at 50 ms: >= {target:g}")
    reconnect_s = statistics.median(figures.reconnect_s)
    found += [
        "",
        f"heap on MicroPython: {figures.heap_peak_bytes // 1024} KiB at most, {figures.heap_grown_bytes} bytes grown;"
        f" the smallest that suffices: {_smallest(figures)}",
        f"on the wire: {figures.wire_bytes_per_reading:g} bytes a reading,"
        f" {figures.readings_per_message:g} readings a message",
        f"a restarted hub has a reading after {reconnect_s:.2f} s, {max(figures.reconnect_s):.2f} s at the most;"
        f" target: <= {RECONNECT_S_TARGET:g} s",
    ]
    return found


def page(figures: Figures) -> str:
    """Return the page."""
    trips = list(figures.rates)
    rows = [
        f"| {label}, {where} | {unit} | " + " | ".join(f"{figures.median(ms, name, unit):,.0f}" for ms in trips) + " |"
        for name, label, where in _ROWS
        for unit in _units(name)
    ]
    ratios = [
        f"| {ratio} | " + " | ".join(f"{figures.ratios(ms)[ratio]:,.1f}" for ms in trips) + f" | {target:g} |"
        for ratio, target in TARGETS.items()
    ]
    return _PAGE.format(
        per_message=figures.readings_per_message,
        window=WINDOW,
        bound=WINDOW * 20,
        sdk=figures.sdk_version,
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        heads=" | ".join(f"{ms} ms" for ms in trips),
        rules=" | ".join("---:" for _ in trips),
        rows="\n".join(rows),
        ratios="\n".join(ratios),
        peak=figures.heap_peak_bytes / 1024,
        heap=HEAP_BYTES / 1024,
        grown=figures.heap_grown_bytes,
        smallest=_smallest(figures),
        wire=figures.wire_bytes_per_reading,
        reconnect=statistics.median(figures.reconnect_s),
        slowest=max(figures.reconnect_s),
        restarts=len(figures.reconnect_s),
        reconnect_target=RECONNECT_S_TARGET,
    )


def _units(contestant: str) -> tuple[str, ...]:
    return ("messages", "readings") if contestant.startswith("batched") else ("messages",)


def _smallest(figures: Figures) -> str:
    on_heap = _both(figures.smallest_heap_bytes, figures.smallest_heap_bytes_32_bit)
    in_rom = _both(figures.smallest_heap_bytes_in_rom, figures.smallest_heap_bytes_in_rom_32_bit)
    return f"{in_rom} with the modules in ROM, as a Pico W has them in flash; {on_heap} with the modules on it"


def _both(wide: int, narrow: int | None) -> str:
    boards = "" if narrow is None else f" (as boards have them, of 4 bytes: {narrow // 1024} KiB)"
    return f"{wide // 1024} KiB where words have 8 bytes{boards}"
