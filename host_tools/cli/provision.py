"""`fieldpost provision`: identities for devices, enrolled at the local hub, or ready for Azure; and the inventory."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from host_tools.config import Settings, read_settings
from host_tools.config.settings import PLAIN
from host_tools.errors import UserError
from host_tools.lab.folder import state_folder
from host_tools.provision import azure_files, names, registry
from host_tools.provision.authority import Authority
from host_tools.provision.fleet import Made, make
from host_tools.provision.inventory import CERTIFICATE, KEY, Inventory
from host_tools.provision.local_hub import LocalHub
from host_tools.provision.names import Row

GROUP_KEY = "FIELDPOST_GROUP_KEY"
_AUTHORITY = "fieldpost"


def inventory() -> Inventory:
    """Return this user's inventory."""
    return Inventory(state_folder() / "inventory.db")


def run(
    devices: Annotated[list[str] | None, typer.Argument(metavar="DEVICE", help="Names of devices.")] = None,
    pattern: Annotated[str | None, typer.Option(help="Names by number, such as shed-{:03}.")] = None,
    count: Annotated[int, typer.Option(help="How many, with --pattern.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first number, with --pattern.")] = 1,
    csv: Annotated[
        Path | None, typer.Option(help="Rows with device, and perhaps board, port, drive, firmware.")
    ] = None,
    certificates: Annotated[
        bool, typer.Option("--certificates", help="EC P-256 certificates by an authority of your own, not keys.")
    ] = False,
    group: Annotated[
        str | None, typer.Option(help=f"A DPS group; keys are derived from its key ({GROUP_KEY}, or a new one).")
    ] = None,
    replaces: Annotated[
        bool, typer.Option("--replace", help="Keys become certificates, or the other way; flash those boards anew.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where files for Azure go.")] = Path("provisioning"),
    config: Annotated[Path | None, typer.Option(help="Instead of fieldpost.toml in this folder.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the inventory.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Give devices their identities. Those that have one keep it.

    At the local hub they are enrolled. For Azure, files and `az` commands are written, or the devices are made at
    once if FIELDPOST_HUB_CONNECTION_STRING opens the hub's registry.
    """
    if list_:
        _show(as_json)
        return
    if certificates and group is not None:
        raise UserError("--certificates and --group both say how devices prove who they are: give one of them")
    settings = read_settings(config)
    rows = _rows(devices or [], pattern, count, first, csv)
    authority_folder = state_folder() / "authority" if certificates else None
    if settings.kind == PLAIN:
        made, done = _for_broker(rows, settings, authority_folder, group, replaces)
    elif settings.hub_host is None:
        made, done = _at_local_hub(rows, settings, authority_folder, group, replaces)
    else:
        made, done = _for_azure(rows, settings.hub_host, settings, authority_folder, group, out, replaces)
    if as_json:
        print(
            json.dumps({"devices": [entry.device for entry in made.entries], "new": sorted(made.fresh), "done": done})
        )
    else:
        old = len(made.entries) - len(made.fresh)
        print(f"{len(made.fresh)} new devices" + (f", {old} keep what they have" if old else "") + f"; {done}")


def _rows(devices: list[str], pattern: str | None, count: int, first: int, csv: Path | None) -> list[Row]:
    given = [bool(devices), pattern is not None, csv is not None]
    if sum(given) != 1:
        raise UserError("say which devices: names, or --pattern with --count, or --csv FILE")
    if csv is not None:
        return names.read_csv(csv)
    if pattern is not None:
        return [Row(name) for name in names.from_pattern(pattern, count, first)]
    return [Row(names.check_name(name)) for name in dict.fromkeys(devices)]


def _at_local_hub(
    rows: list[Row], settings: Settings, authority_folder: Path | None, group: str | None, replaces: bool
) -> tuple[Made, str]:
    hub = LocalHub(settings.hub_data or state_folder() / "hub")
    key = None if group is None else (group, hub.group_key(group))
    made = make(rows, hub.host, inventory(), authority_folder, key, replaces)
    if authority_folder is not None:
        hub.trust(_AUTHORITY, Authority(authority_folder).pem)
    for entry in made.entries:
        if settings.id_scope is None:
            hub.enrol_entry(entry)
        else:
            hub.check_id_scope(settings.id_scope)
            hub.enrol_for_assignment(entry)
    service = "" if settings.id_scope is None else "'s provisioning service"
    return made, f"enrolled at the local hub {hub.host}{service}"


def _for_broker(
    rows: list[Row], settings: Settings, authority_folder: Path | None, group: str | None, replaces: bool
) -> tuple[Made, str]:
    if authority_folder is None or group is not None:
        raise UserError(
            "a plain broker knows no keys: give --certificates, or write its user and password into "
            "fieldpost.secrets.toml under [broker] and flash without provisioning"
        )
    made = make(rows, str(settings.hub_host), inventory(), authority_folder, None, replaces)
    return made, f"let {settings.hub_host} trust {Authority(authority_folder).certificate_file}"


def _for_azure(
    rows: list[Row],
    host: str,
    settings: Settings,
    authority_folder: Path | None,
    group: str | None,
    out: Path,
    replaces: bool,
) -> tuple[Made, str]:
    key = None if group is None else (group, _group_key())
    made = make(rows, host, inventory(), authority_folder, key, replaces)
    opened = os.environ.get(registry.ENVIRONMENT)
    if opened:
        service = registry.Registry(opened, settings.root_certificate)
        if service.host != host:
            raise UserError(f"{registry.ENVIRONMENT} is for {service.host}, fieldpost.toml for {host}")
        service.put(made.entries)
        return made, f"made in the registry of {host}"
    authority = None if authority_folder is None else Authority(authority_folder).pem
    script = azure_files.write(out, host if settings.names_hub else None, made.entries, key, authority)
    return made, f"run {script} to make them known to {host} (its files hold keys: mode 0600)"


def _group_key() -> str:
    key = os.environ.get(GROUP_KEY)
    if not key:
        raise UserError(f"the group's key is not known: put it into {GROUP_KEY} (`az iot dps enrollment-group show`)")
    return key


def _show(as_json: bool) -> None:
    entries = inventory().all()
    if as_json:
        fields = ("device", "board", "hub", "auth", "group_name", "created_s", "flashed_s", "outcome")
        print(json.dumps([{name: getattr(entry, name) for name in fields} for entry in entries]))
        return
    table = Table("device", "board", "hub", "proves itself by", "last flash", box=None, pad_edge=False)
    how = {KEY: "key", CERTIFICATE: "certificate"}
    for entry in entries:
        group = f" of group {entry.group_name}" if entry.group_name else ""
        table.add_row(entry.device, entry.board or "", entry.hub, how[entry.auth] + group, entry.outcome or "never")
    if entries:
        Console().print(table)
    else:
        print("no devices yet: `fieldpost provision NAME` makes one", file=sys.stderr)
