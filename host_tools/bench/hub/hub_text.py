"""The figures as people read them, with the targets beside them."""

from __future__ import annotations

import statistics

from host_tools.bench.hub.measure import CONNECTIONS, PAYLOAD_BYTES, WINDOWS, Figures

# What the hub is to reach (issue 4).
RATIO_TARGETS = {16: 1.0, 1: 0.15}
RSS_MB_TARGET = 120.0


def lines(figures: Figures) -> list[str]:
    """Return the lines to print."""
    mosquitto = figures.mosquitto_version
    found = [
        f"QoS 1 publishes of {PAYLOAD_BYTES} bytes over TLS from {CONNECTIONS} connections,",
        f"the hub durable (SQLite, synchronous=FULL), {mosquitto} in memory,",
        f"median of {len(figures.hub.per_s[1])} turns of each",
        "",
        f"{'window':>8}{'hub':>12}{'p50':>10}{mosquitto:>20}{'p50':>10}{'ratio':>8}  target",
    ]
    for window in WINDOWS:
        hub_ms = statistics.median(figures.hub.p50_ms[window])
        other_ms = statistics.median(figures.mosquitto.p50_ms[window])
        found.append(
            f"{window:>8}{figures.hub.median(window):>10.0f}/s{hub_ms:>7.2f} ms"
            f"{figures.mosquitto.median(window):>18.0f}/s{other_ms:>7.2f} ms{figures.ratio(window):>8.2f}"
            f"  >= {RATIO_TARGETS[window]:g}"
        )
    found += [
        "",
        f"{figures.tls_connections} TLS connections: {figures.rss_mb:.0f} MB,"
        f" before them {figures.rss_before_mb:.0f} MB;"
        f" target at 2000: <= {RSS_MB_TARGET:.0f} MB",
        f"connected one and all in {figures.connected_in_s:.1f} s",
        f"{figures.acknowledged} messages acknowledged in the turns, {figures.stored} in the file",
    ]
    return found
