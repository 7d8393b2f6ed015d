"""The `fieldpost` command that the package installs: what is of use on the device itself.

Plain argparse: a Raspberry Pi Zero answers in a fraction of a second, and nothing has to be vendored for it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from host_tools.errors import UserError
from host_tools.lab.quantities import duration_s
from host_tools.queue import commands as queue
from host_tools.service import commands as service
from host_tools.service import top
from host_tools.service.configure import Wanted

_QUEUE = Path("/var/lib/fieldpost/queue")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except UserError as error:
        print(f"fieldpost: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fieldpost", description="The fieldpost agent of this machine.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _service_verbs(
        verbs.add_parser("service", help="the systemd service").add_subparsers(required=True, metavar="VERB")
    )
    _queue_verbs(
        verbs.add_parser("queue", help="what waits in the queue").add_subparsers(required=True, metavar="VERB")
    )
    verb = verbs.add_parser("top", help="the live state of the service")
    verb.add_argument("--json", action="store_true", help="once, as JSON")
    verb.add_argument("--socket", type=Path, default=top.SOCKET, help="default: %(default)s")
    verb.set_defaults(run=lambda o: top.run(o.socket, o.json))
    return parser


def _service_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("configure", help="write /etc/fieldpost, or change it, and start the service")
    verb.add_argument("--identity", type=Path, help="file with device_id, ca_der, and a key or a certificate")
    verb.add_argument("--hub", help="host name, such as NAME.azure-devices.net")
    verb.add_argument("--hub-port", type=int, help="8883")
    verb.add_argument("--dialect", choices=("azure", "plain"), help="plain: an MQTT broker that is no IoT Hub")
    verb.add_argument("--hours", type=float, help="how long readings are kept without a network (48)")
    verb.add_argument("--every", help="time between readings (1s)")
    verb.add_argument("--address", type=lambda text: int(text, 0), help="of the BME280 (0x77)")
    verb.add_argument("--no-start", action="store_true", help="only write the files")
    verb.set_defaults(run=lambda o: service.set_up(_wanted(o), not o.no_start))
    verb = verbs.add_parser("status", help="how it is")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=lambda o: service.status(o.json))
    verb = verbs.add_parser("logs", help="what it said")
    verb.add_argument("-f", "--follow", action="store_true")
    verb.add_argument("-n", "--lines", type=int, default=50)
    verb.add_argument("-p", "--priority", help="warning, err, ...")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=lambda o: service.logs(o.follow, o.lines, o.priority, o.json))
    verb = verbs.add_parser("remove", help="take the package away; readings stay unless --purge")
    verb.add_argument("--purge", action="store_true", help="configuration, identity and unsent readings as well")
    verb.set_defaults(run=lambda o: service.remove(o.purge))


def _wanted(o: argparse.Namespace) -> Wanted:
    interval_s = duration_s(o.every) if o.every else None
    return Wanted(o.identity, o.hub, o.hub_port, o.dialect, o.hours, interval_s, o.address)


def _queue_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("stats", help="what waits, what was lost, how many hours fit")
    _file(verb)
    verb.add_argument("--json", action="store_true")
    verb.add_argument("--every", help="time between readings, if there are none yet")
    verb.set_defaults(run=lambda o: queue.stats(o.file, duration_s(o.every) if o.every else None, o.json))
    verb = verbs.add_parser("verify", help="check every frame; exit 1 if a record is missing")
    _file(verb)
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=lambda o: queue.verify(o.file, o.json))
    for name, act, text in (
        ("export", queue.export, "write every record"),
        ("salvage", queue.salvage, "save what is whole from a damaged queue"),
    ):
        verb = verbs.add_parser(name, help=text)
        _file(verb)
        verb.add_argument("--out", type=Path)
        verb.add_argument("--csv", action="store_true")
        verb.add_argument("--pending", action="store_true", help="only what the hub has not confirmed")
        verb.set_defaults(run=lambda o, act=act: act(o.file, o.out, o.csv, o.pending))


def _file(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", type=Path, nargs="?", default=_QUEUE, help="default: %(default)s")
