"""`fieldpost doctor`: looks at settings, hub, network and board, and says what is wrong in plain words."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from host_tools.config import read_settings
from host_tools.doctor import Finding, board, local_hub, network, settings
from host_tools.errors import UserError
from host_tools.lab.folder import state_folder
from host_tools.provision.device_identity import root_certificates
from host_tools.provision.local_hub import LocalHub

_MARKS = {True: "[green]good [/]", False: "[red]wrong[/]", None: "[yellow]note [/]"}


def run(
    port: Annotated[str | None, typer.Option(help="Serial port of a board to look at.")] = None,
    device: Annotated[str | None, typer.Option(help="A device to ask the local hub about.")] = None,
    config: Annotated[Path | None, typer.Option(help="Instead of fieldpost.toml in this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for what keeps readings from arriving. Exit 1 if something is wrong.

    A board that runs is only listened to.
    """
    found = look(port, device, config)
    if as_json:
        print(json.dumps({"findings": [asdict(one) for one in found]}, ensure_ascii=False))
    else:
        console = Console()
        for one in found:
            line = f"{_MARKS[one.is_good]}  {escape(one.about):<12} {escape(one.says)}"
            console.print(line, highlight=False, soft_wrap=True)
    if any(one.is_good is False for one in found):
        raise typer.Exit(1)


def look(port: str | None, device: str | None, config: Path | None) -> list[Finding]:
    """Return what every look has shown."""
    try:
        known = read_settings(config)
    except UserError as error:
        return [Finding("settings", False, str(error))]
    found = settings.look(known)
    server = known.first_server
    roots: list[bytes] | None = None
    try:
        if known.root_certificate is not None:
            roots = root_certificates(known.root_certificate)
        if server is None:
            folder = known.hub_data or state_folder() / "hub"
            found += local_hub.look(folder, device)
            if found[-1].is_good is not False or found[-1].about == "device":
                hub = LocalHub(folder)
                server, roots = (hub.host, hub.port), hub.roots
    except UserError as error:
        found.append(Finding("hub", False, str(error)))
    if server is not None:
        found += network.hub(*server, None if roots is None else b"".join(roots), known.has_tls)
    if not known.is_local:
        found += network.clock(known.time_servers)
    if port is not None:
        found += board.look(port)
    return found
