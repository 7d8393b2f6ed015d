"""The links that keep one contract, and how a test runs a device over each of them."""

import asyncio
import json
import os
from pathlib import Path

from host_tools.toolchain import umqtt
from tests.contract import device

ROOT = Path(__file__).parents[2]

# Which code speaks MQTT, on which interpreter, in WebSocket frames or not.
LINKS = {
    "umqtt": ("umqtt", "cpython", False),
    "umqtt-micropython": ("umqtt", "micropython", False),
    "paho": ("paho", "cpython", False),
    "paho-websockets": ("paho", "cpython", True),
}
# The boards' way through a network that lets nothing out but port 443: the same link in the same frames.
FRAMED_BOARDS = {"umqtt-micropython-websockets": ("umqtt", "micropython", True)}

DEFAULTS = {
    "host": "localhost",
    "ca": None,
    "path": None,
    "dialect": "plain",
    "key": "",
    "records": 120,
    "keepalive_s": 30,
    "seconds": 120,
    "speed": 1,
    "errors": None,
    "clock_s": 0,
    "commands": 0,
    "live_ms": 0,
    "full": 0,
    "told": None,
}


class Runner:
    """Runs devices. micropython: the interpreter; folder: for its arguments."""

    def __init__(self, micropython, folder):
        self._micropython = micropython
        self._folder = folder

    async def run(self, name, **asked):
        """Run a device over the link of that name; return what it found (see device.py)."""
        link, interpreter, is_framed = {**LINKS, **FRAMED_BOARDS}[name]
        asked = {**DEFAULTS, "id": "dev-" + name, "link": link, **asked}
        if not is_framed:
            asked["path"] = None
        found = await (self._on_micropython(asked) if interpreter == "micropython" else self._on_cpython(asked))
        # Waiting costs nothing: whatever happened, the loop turned a few times for each thing that happened.
        assert found["turns"] < 300 + found["elapsed_ms"] / 5 or asked.get("busy"), found
        return found

    async def on_every_link(self, scenario):
        """Run `scenario(name)`, a coroutine function, for all links at the same time."""
        results = await asyncio.gather(*(scenario(name) for name in LINKS), return_exceptions=True)
        failed = {
            name: result for name, result in zip(LINKS, results, strict=True) if isinstance(result, BaseException)
        }
        for name, error in failed.items():
            error.add_note(f"link: {name}" + (f"; also failed: {', '.join(failed)}" if len(failed) > 1 else ""))
            raise error

    async def _on_cpython(self, asked):
        return await asyncio.to_thread(device.run, asked)

    async def _on_micropython(self, asked):
        arguments = self._folder / f"{asked['id']}-{asked['port']}.json"
        arguments.write_text(json.dumps(asked))
        paths = [".frozen", str(ROOT / "firmware"), str(ROOT), str(umqtt.find_or_download())]
        process = await asyncio.create_subprocess_exec(
            str(self._micropython),
            device.__file__,
            str(arguments),
            env={**os.environ, "MICROPYPATH": ":".join(paths)},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), asked["seconds"] + 60)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, output.decode()
        return json.loads(output)


def numbers(payloads):
    """Return the record numbers in bodies, in order of arrival."""
    return [record["n"] for payload in payloads for record in json.loads(payload)["records"]]


def all_of(records):
    """Return the numbers that a device with so many records has."""
    return list(range(1, records + 1))
