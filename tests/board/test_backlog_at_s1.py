"""A backlog and a hub with the limits of S1, for real: TLS, sockets, throttling that closes the connection.

The headline of tests/simulate/test_three_days.py, shortened: a reading a message, a burst of one second instead of ten,
and a clock at the hub that goes slowly, so that the slowest machine is still too fast for it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
import time
from pathlib import Path

from fieldpost.ring.log import Ring

from host_tools import audit
from host_tools.audit import bodies
from host_tools.bench.link import backlog, measure
from host_tools.emulator.nor_flash import NorFlash
from host_tools.hub import Hub, read_messages, throttle
from host_tools.toolchain import umqtt

PROGRAM = Path(measure.__file__).parent / "programs" / "drain.py"
FIRMWARE = Path(__file__).parents[2] / "firmware"
READINGS = 300
SLOWNESS = 5


async def test_a_backlog_arrives_whole_at_the_hubs_pace_while_live_readings_flow(
    micropython, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(throttle, "_BURST_S", 1.0)
    caplog.set_level(logging.INFO, "fieldpost.hub")
    ring = tmp_path / "ring"
    image = backlog.ring_image(READINGS)
    ring.write_bytes(image)
    first_live = Ring(NorFlash(bytearray(image))).next_number
    start_s = time.time()
    hub = Hub(tmp_path / "hub", clock=lambda: start_s + (time.time() - start_s) / SLOWNESS, tier="S1")
    await hub.start()
    try:
        asked = {
            "host": "localhost",
            "port": hub.port,
            "device": "dev1",
            "key": hub.devices.create("dev1").primary_key,
            "ca": base64.b64encode(hub.ca_der).decode(),
            "ring": str(ring),
            "records_max": 1,
            "bytes_max": 1024,
            "window": 16,
            "seconds": 0,
            "live_ms": 1000,
            "order": "live",
            "endless": False,
        }
        (tmp_path / "arguments").write_text(json.dumps(asked))
        process = await asyncio.create_subprocess_exec(
            micropython,
            "-X",
            "heapsize=512K",
            PROGRAM,
            tmp_path / "arguments",
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:{umqtt.find_or_download()}:.frozen"},
            stdout=asyncio.subprocess.PIPE,
            stderr=sys.stderr,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 600)
    finally:
        await hub.stop()
    assert process.returncode == 0, output.decode()
    assert json.loads(output)["readings"] >= READINGS
    assert "throttled" in caplog.text, "the hub did object"
    messages = list(read_messages(tmp_path / "hub"))
    finding = audit.judge("dev1", messages)
    assert finding.is_whole and finding.total("lost_reported") == 0
    numbers = [record["n"] for message in messages for record in bodies.content(message.body)["records"]]
    live_at = next(index for index, number in enumerate(numbers) if number >= first_live)
    assert live_at < len(numbers) * 3 // 4, "live readings do not wait for the backlog's end"
    firsts = list(dict.fromkeys(number for number in numbers if number < first_live))
    assert firsts == sorted(firsts), "the backlog stays in order"
