"""The hub as a process: what `fieldpost hub run` turns into, so that nothing of the command line stays in memory.

Takes one argument, a JSON object of what Hub is made with.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import resource
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from host_tools.errors import UserError
from host_tools.hub import Hub
from host_tools.hub.behaviour import Behaviour
from host_tools.hub.devices.registry import connection_string
from host_tools.hub.one_line import OneLineFormatter
from host_tools.hub.service.admin import AdminApi, Page
from host_tools.hub.service.https import HttpsApi
from host_tools.hub.service.rest import ServiceApi

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def main(page: Callable[[Hub], Page] | None = None) -> None:
    """Run the hub until a signal ends it. What the user can act on is one sentence on stderr and exit 2.

    page: makes the hub's page for people, of which the hub itself knows nothing.
    """
    given = json.loads(sys.argv[1])
    is_for_people = not given.pop("ends_with_parent", False)
    if not is_for_people:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _allow_files()
    wanted = given.pop("devices", [])
    behaviour = Behaviour(**given.pop("behaviour", {}))
    level = logging.INFO if given.pop("verbose") else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    try:
        uvloop.run(_run(Hub(Path(given.pop("directory")), **given, behaviour=behaviour), wanted, is_for_people, page))
    except UserError as error:
        print(f"fieldpost: {error}", file=sys.stderr)
        sys.exit(2)


def _allow_files() -> None:
    """A connection is a file: most shells allow 1024 of them, and as many as the system does if one asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(hub: Hub, wanted: list[str], is_for_people: bool, page: Callable[[Hub], Page] | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await hub.start()
    api = AdminApi(hub, page(hub) if page is not None else None)
    hub.web = HttpsApi(ServiceApi(hub), api)
    try:
        await api.start()
        hub.settings.set("hostname", hub.hostname)
        made = [hub.devices.create(device_id) for device_id in wanted]
        mqtt, https, amqp = hub.ports
        print(f"ready: mqtts {mqtt}, https {https}, amqps {amqp} on {hub.hostname}; root {hub.ca_file}", flush=True)
        for device in made:
            print(connection_string(hub.hostname, device.id, device.primary_key), file=sys.stderr)
        if is_for_people and sys.stderr.isatty():
            here, ca_file = (
                f" --data {shlex.quote(str(hub.directory.resolve()))}",
                shlex.quote(str(hub.ca_file.resolve())),
            )
            print(
                "\n  the page:   fieldpost hub page" + here + "\n"
                "  a device:   fieldpost hub device create NAME" + here + "\n"
                f"  SDKs:       export SSL_CERT_FILE={ca_file} REQUESTS_CA_BUNDLE={ca_file}\n"
                "  a back end: fieldpost hub service" + here + "\n"
                "  messages:   fieldpost hub messages --follow" + here + "\n  Ctrl-C ends it.",
                file=sys.stderr,
            )
        await stopped.wait()
    finally:
        await api.stop()
        await hub.stop()


if __name__ == "__main__":
    main()
