"""`fieldpost service`: the agent as a systemd service of this machine, and its Debian package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from host_tools.cli.arguments import AsJson
from host_tools.errors import UserError
from host_tools.lab.quantities import duration_s
from host_tools.service import commands, deb
from host_tools.service.configure import Wanted

app = typer.Typer(help="The agent as a service of a Raspberry Pi.", no_args_is_help=True)

_OUT = Path("build")


def _address(text: str) -> int:
    return int(text, 0)


def _report(line: str) -> None:
    print(f"fieldpost: {line}", file=sys.stderr)


@app.command("build-deb")
def build_deb(
    arch: Annotated[str | None, typer.Option("--arch", help="amd64 or arm64; else this machine's.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Version, if not the project's.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the package.")] = _OUT,
) -> None:
    """Build the Debian package, and print its path."""
    print(deb.build(out, arch, version, _report))


@app.command()
def install(
    identity: Annotated[
        Path | None, typer.Option("--identity", help="File with device_id, ca_der, and a key or a certificate.")
    ] = None,
    hub: Annotated[str | None, typer.Option("--hub", help="Host name, such as NAME.azure-devices.net.")] = None,
    hub_port: Annotated[int | None, typer.Option("--hub-port", min=1, max=65535, help="8883.")] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", help="azure, or plain for an MQTT broker that is no IoT Hub.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", min=0.1, help="How long readings are kept offline: 48.")
    ] = None,
    every: Annotated[str | None, typer.Option("--every", help="Time between readings: 1s.")] = None,
    address: Annotated[
        int | None, typer.Option("--address", parser=_address, metavar="0x76|0x77", help="Of the BME280.")
    ] = None,
    package: Annotated[Path | None, typer.Option("--deb", help="The package; else it is built.")] = None,
) -> None:
    """Install the service here, configure and start it (as root).

    What is not given stays as it is configured, or takes the default the first time.
    """
    commands.check_can_install(identity)
    code = commands.install(package or deb.build(_OUT, report=_report))
    if code:
        raise UserError("apt-get could not install the package (see above)")
    interval_s = None if every is None else duration_s(every)
    raise typer.Exit(commands.set_up(Wanted(identity, hub, hub_port, dialect, hours, interval_s, address)))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say how the service is. Exit 3 if it does not run."""
    raise typer.Exit(commands.status(as_json))


@app.command()
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 50,
    priority: Annotated[str | None, typer.Option("--priority", "-p", help="warning, err, ...")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the service said."""
    raise typer.Exit(commands.logs(follow, lines, priority, as_json))


@app.command()
def remove(
    purge: Annotated[
        bool, typer.Option("--purge", help="Configuration, identity and unsent readings as well.")
    ] = False,
) -> None:
    """Take the service away; its readings stay unless --purge."""
    raise typer.Exit(commands.remove(purge))
