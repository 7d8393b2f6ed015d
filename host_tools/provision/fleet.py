"""Makes the identities of a fleet. Again, it changes nothing: a device keeps what it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.provision.authority import Authority
from host_tools.provision.inventory import CERTIFICATE, KEY, Entry, Inventory
from host_tools.provision.keys import derive_key, new_key
from host_tools.provision.names import Row


@dataclass(frozen=True)
class Made:
    """entries: every device asked for; fresh: the names of those that were not there before."""

    entries: list[Entry]
    fresh: set[str]


def make(
    rows: Sequence[Row],
    hub: str,
    inventory: Inventory,
    authority_folder: Path | None = None,
    group: tuple[str, str] | None = None,
    replaces: bool = False,
) -> Made:
    """Give every device of `rows` an identity at `hub`, and keep it in the inventory.

    authority_folder: certificates by the authority there, instead of keys. group: its name and its key, from which
    the devices' keys are derived. replaces: whether a device that proves itself in the other way at this hub gets a
    new identity: its board is not let in any more until it is flashed. UserError if it may not, or it cannot be done.
    """
    authority = None if authority_folder is None else Authority(authority_folder)
    known = {entry.device: entry for entry in inventory.all()}
    auth = KEY if authority is None else CERTIFICATE
    if not replaces:
        _check_keeps(rows, hub, auth, known)
    entries, fresh = [], set()
    for row in rows:
        entry = known.get(row.device)
        if entry is None or entry.hub != hub or entry.auth != auth:
            entry = _new(row, hub, authority, group)
            fresh.add(row.device)
        entries.append(entry)
    inventory.add(*(entry for entry in entries if entry.device in fresh))  # one transaction, not a thousand
    return Made(entries, fresh)


def _check_keeps(rows: Sequence[Row], hub: str, auth: str, known: Mapping[str, Entry]) -> None:
    old = [known[row.device] for row in rows if row.device in known]
    others = [entry.device for entry in old if entry.hub == hub and entry.auth != auth]
    if others:
        way, option = ("a key", "without") if auth == CERTIFICATE else ("a certificate", "with")
        more = f" and {len(others) - 1} more" if others[1:] else ""
        raise UserError(
            f"{others[0]}{more} at {hub} has {way} already: call it {option} --certificates, or --replace gives a new "
            "identity, and the board is let in again when it has been flashed with it"
        )


def _new(row: Row, hub: str, authority: Authority | None, group: tuple[str, str] | None) -> Entry:
    if authority is not None:
        issued = authority.issue(row.device)
        return Entry(row.device, hub, CERTIFICATE, row.board, certificate=issued.certificate, private_key=issued.key)
    if group is not None:
        return Entry(row.device, hub, KEY, row.board, derive_key(group[1], row.device), group_name=group[0])
    return Entry(row.device, hub, KEY, row.board, new_key())
