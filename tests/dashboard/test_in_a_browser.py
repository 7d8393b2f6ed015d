"""The page in a real browser, where one is at hand: it shows what is there, and hostile devices stay text.

Goal: a body, a property or a name in a twin never becomes an element, and no policy is broken on the way. Method:
headless Chromium loads the page and prints its document after some seconds of its own time.
"""

import asyncio
import html
import json
import re
import shutil

import pytest

from tests.dashboard.page_bench import agents, page, store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0",
]  # fmt: skip
HOSTILE = "<img src=x onerror=document.title=1><script>document.title=2</script>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


async def document(address, folder):
    """What Chromium makes of an address, and what it complains about."""
    switches = [*SWITCHES, f"--user-data-dir={folder}", "--virtual-time-budget=6000", "--dump-dom", address]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(CHROMIUM), *switches, stdout=pipe, stderr=pipe)
    try:
        shown, complaints = await asyncio.wait_for(process.communicate(), 300)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return shown.decode(), [line for line in complaints.decode().splitlines() if "CONSOLE" in line]


async def test_hostile_devices_stay_text(tmp_path):
    async with page(tmp_path / "hub") as at:
        at.hub.devices.create("dev1")
        await store(
            at.hub, "dev1", json.dumps({"x": 7.25, HOSTILE[:60]: 2, "__proto__": 3}).encode(), {HOSTILE: HOSTILE}
        )
        await store(at.hub, "dev1", HOSTILE.encode(), {}, {"message-id": HOSTILE, "content-type": HOSTILE})
        await at.hub.change_twin("dev1", None, {"name": HOSTILE}, False)
        await at.hub.send("dev1", b"x", {}, HOSTILE)
        address = f"http://127.0.0.1:{at.port}/#token={at.token}"
        shown, complaints = await document(address, tmp_path / "list")
        assert complaints == [] and 'href="#/device/dev1"' in shown and at.token not in shown
        # The token is kept in a tab, and each of these is a new one: a place on the page may stand behind the token.
        shown, complaints = await document(f"{address}#/device/dev1", tmp_path / "device")
        assert complaints == [], "the policy was broken"
        assert "<title>dev1 " in shown and at.token not in shown
        assert len(re.findall("<script", shown)) == 2 and len(re.findall("<img", shown)) == 1
        assert shown.count(html.escape(HOSTILE, quote=False)) >= 5, "it is to be seen as it is"
        assert "7.25" in shown and "__proto__" in shown and "polyline" in shown


async def test_an_agents_readings_and_its_audit(tmp_path):
    async with page(tmp_path / "hub") as at:
        at.hub.devices.create("dev1")
        await store(at.hub, "dev1", agents(1, 2, 3, temperature=21.5), {"fp": "1"})
        address = f"http://127.0.0.1:{at.port}/#token={at.token}#/device/dev1"
        shown, complaints = await document(address, tmp_path / "device")
        assert complaints == [] and "3 delivered · 0 reported lost · 0 missing" in shown
        assert 'aria-label="temperature: last 21.5, between 21.5 and 21.5, 3 readings"' in shown
