"""The part of `fieldpost flash` that puts real boards, or unpacked emulated ones, to work."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from host_tools import boards
from host_tools.boards import Board
from host_tools.cli import show
from host_tools.cli.provision import inventory
from host_tools.config import Settings, read_secrets, read_settings
from host_tools.config.settings import AZURE, PLAIN, check_host
from host_tools.errors import UserError
from host_tools.flash import check_fits, onto_board, read_identity
from host_tools.flash.first_reading import Arrived, HubStore
from host_tools.flash.onto_board import Job
from host_tools.flash.prompt import About
from host_tools.lab.folder import state_folder
from host_tools.provision import names
from host_tools.provision.device_identity import identity, root_certificates
from host_tools.provision.inventory import KEY, NOTHING, Entry
from host_tools.provision.local_hub import LocalHub


@dataclass(frozen=True)
class Where:
    """Where the board is, if the command line says so."""

    port: str | None = None
    drive: Path | None = None


@dataclass(frozen=True)
class Who:
    """Who it will be: a name, or the file of its identity; neither keeps what it is."""

    device: str | None = None
    identity: Path | None = None


@dataclass(frozen=True)
class What:
    """What is to be done."""

    firmware: Path | None = None
    wipe: bool = False
    dry_run: bool = False
    wait: bool = True
    user_commands: Path | None = None


@dataclass(frozen=True)
class Setting:
    """config: instead of fieldpost.toml; hub and interval_ms: instead of what stands in it."""

    config: Path | None = None
    hub: str | None = None
    interval_ms: int | None = None

    def read(self) -> Settings:
        """Return the settings."""
        settings = read_settings(self.config)
        if self.hub is not None:
            settings = replace(settings, kind=AZURE, hub_host=check_host(self.hub, "--hub"), names_hub=True)
        if self.interval_ms is not None:
            settings = replace(settings, interval_ms=self.interval_ms)
        return settings


def flash(board: str, where: Where, who: Who, what: What, setting: Setting, as_json: bool) -> None:
    """Find the board, say what will be done, and do it."""
    started_s = time.monotonic()
    job = make_job(board, where, who, what, setting.read())
    progress = show.progress()
    try:
        found = onto_board.look(job, progress)
        for number, line in enumerate(found.plan, 1):
            progress(f"{number}. {line}")
        if what.dry_run:
            onto_board.leave(found.device, found.about)
            if as_json:
                print(json.dumps({"board": board, "found": str(found.device), "plan": found.plan}))
            return
        outcome = onto_board.flash(job, found, progress)
        if job.identity is not None:
            inventory().flashed(job.identity["device_id"], board, outcome)
    finally:
        if isinstance(progress, show.Bar):
            progress.close()
    if as_json:
        print(json.dumps({"board": board, "outcome": outcome, "seconds": round(time.monotonic() - started_s, 1)}))
    else:
        print(outcome)


def make_job(name: str, where: Where, who: Who, what: What, settings: Settings) -> Job:
    """Return what the command line, fieldpost.toml and the hub say together. UserError says what is missing."""
    board = boards.load(name)
    if board.port == "linux":
        raise UserError(
            f"{board.title}: nothing is flashed there, the agent runs as a service: `fieldpost service install` on the "
            "Pi, see docs/raspberry-pi.md"
        )
    if who.identity is not None and who.device is not None:
        raise UserError("--identity and --device both say who the board will be: give one of them")
    if who.device is not None:
        names.check_name(who.device)
    known = read_identity(who.identity) if who.identity is not None else None
    keeps = who.device is None and who.identity is None and settings.path is None
    hub = _local_hub(settings, keeps)
    if who.device is not None:
        known = _identity(who.device, settings, hub, not what.dry_run)
        if not settings.networks:
            raise UserError(
                "no Wi-Fi network is named: write one into fieldpost.toml under [wifi], or make that file with "
                "`fieldpost init`"
            )
    if known is not None:
        check_fits(known, _config(board, known["device_id"], settings, hub, None))
    if known is not None and not settings.networks:
        settings = replace(settings, networks=tuple(known["wifi_passwords"]))
    return Job(
        board=board,
        config=lambda device, about: _config(board, device, settings, hub, about if keeps else None),
        identity=known,
        port=where.port,
        drive=where.drive,
        firmware=what.firmware,
        wipe=what.wipe,
        wait=what.wait,
        user_commands=what.user_commands,
        arrived=lambda config: _asks(hub, config),
        emulated=emulated_boards(),
    )


def emulated_boards() -> tuple[Path, ...]:
    """Return the folders of the unpacked boards that `fieldpost emulate` has made on this machine."""
    folder = state_folder() / "boards"
    return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()


def _identity(device: str, settings: Settings, hub: LocalHub | None, notes: bool) -> dict[str, Any]:
    """Return the identity of a device by its name: from the inventory, or from the local hub.

    notes: whether a device that the inventory does not know yet goes there.
    """
    host = settings.hub_host if hub is None else hub.host
    known = entry = inventory().get(names.check_name(device))
    folder = settings.path.parent if settings.path is not None else Path()
    secrets = read_secrets(folder)
    proof: dict[str, str] = secrets.for_broker(device) if settings.kind == PLAIN else {}
    if entry is None or entry.hub != host:
        if settings.kind == PLAIN:
            entry = Entry(device, str(host), NOTHING)
        elif hub is None:
            raise UserError(
                f"the key of {device} is not known here: make one with `fieldpost provision {device}`, "
                "or give --identity FILE"
            )
        else:
            entry = Entry(device, hub.host, KEY, key=hub.key(device))
            if notes and known is None:
                inventory().add(entry)
    passwords = secrets.for_networks(settings.networks)
    proof |= secrets.for_commands(settings.commands.get("signed"))
    return {**identity(entry, _roots(settings, hub), passwords), **proof}


def _roots(settings: Settings, hub: LocalHub | None) -> list[bytes]:
    """Return the root certificates that the hub's chain may end in, DER."""
    if settings.root_certificate is not None:
        return root_certificates(settings.root_certificate)
    if hub is not None:
        return hub.roots
    if not settings.has_tls:
        return []
    raise UserError(
        "hub.root_certificate is missing in fieldpost.toml: expected a PEM file of the roots that the hub's chain "
        "may end in: for Azure DigiCert Global Root G2 and Microsoft RSA Root Certificate Authority 2017"
    )


def _local_hub(settings: Settings, may_be_absent: bool) -> LocalHub | None:
    """Return the local hub, if that is the one meant; a board that keeps what it has may have another."""
    if settings.hub_host is not None:
        return None
    try:
        return LocalHub(settings.hub_data or state_folder() / "hub")
    except UserError:
        if may_be_absent:
            return None
        raise


def _config(board: Board, device: str, settings: Settings, hub: LocalHub | None, kept: About | None) -> dict[str, Any]:
    """Return the device's config.json. kept: what the board has already, which holds where nothing else is said."""
    if kept is not None and kept.hub is not None and settings.hub_host is None:
        host, port = kept.hub
    elif hub is not None:
        host, port = hub.host, hub.port
    elif settings.hub_host is not None:
        host, port = settings.hub_host, settings.hub_port
    else:
        raise UserError("where the board is to deliver is not known: run `fieldpost hub run`, or `fieldpost init`")
    if kept is not None and not settings.networks:
        settings = replace(settings, networks=kept.networks)
    about_hub = settings.hub_settings()
    if hub is not None and settings.id_scope is not None:
        hub.check_id_scope(settings.id_scope)
        about_hub["provisioning"] = {"id_scope": settings.id_scope, "host": hub.host, "port": hub.port}
    is_assigned = "provisioning" in about_hub
    return board.device_config(device, None if is_assigned else host, port, about_hub, **settings.device_settings())


def _asks(hub: LocalHub | None, config: Mapping[str, Any]) -> Arrived | None:
    """Return what asks the local hub for a first reading, if that is where the device delivers to."""
    asked = config["hub"].get("provisioning") or config["hub"]
    if hub is None or (hub.host, hub.port) != (asked["host"], asked["port"]):
        return None
    return HubStore(hub.folder, config["device"]).arrived
