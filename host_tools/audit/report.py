"""A finding in words for people and as JSON for programs."""

import dataclasses
from typing import Any

from host_tools.audit.judge import Finding
from host_tools.audit.ledger import Account
from host_tools.audit.ranges import Range


def as_json(finding: Finding) -> dict[str, Any]:
    """Return the finding as plain data: the sums over all rings, then each ring."""
    sums = ("delivered_unique", "duplicates", "lost_reported", "waiting", "missing", "gaps", "out_of_order")
    return {
        "device": finding.device,
        "whole": finding.is_whole,
        **{name: finding.total(name) for name in sums},
        "messages": finding.messages,
        "foreign": finding.foreign,
        "unreadable": finding.unreadable,
        "rings": [dataclasses.asdict(account) for account in finding.accounts],
    }


def proof(finding: Finding) -> str:
    """Return the argument, number by number, that nothing is missing, or what is."""
    if not finding.accounts and not finding.unreadable:
        return f"{finding.device}: the hub holds nothing of this device and its flash holds no ring."
    lines = []
    for account in finding.accounts:
        lines += _ring(account)
    if finding.unreadable:
        lines.append(f"{_count(finding.unreadable, 'message')} could not be read, which spoils the proof.")
    if finding.is_whole:
        lines.append(f"{finding.device}: nothing is missing.")
    else:
        lines.append(f"{finding.device}: NOT whole, {finding.total('missing')} missing.")
    return "\n".join(lines)


def _ring(account: Account) -> list[str]:
    if account.next_number is None:
        end = account.highest
        source = "the highest number that arrived; its flash was not read, so that the end is not proved"
    else:
        end = max(account.highest, account.next_number - 1)
        source = "the flash says so"
    lines = [
        f"{account.device}, ring {account.ring}: numbers 1 to {end} were given out ({source})."
        if end
        else f"{account.device}, ring {account.ring}: no number was given out yet.",
        f"  {account.delivered_unique:>9} delivered ({account.events} of them events, "
        f"{_count(account.duplicates, 'repeat')} on top)",
        f"  {account.lost_reported:>9} reported as lost by the board",
    ]
    if account.waiting:
        lines.append(f"  {account.waiting:>9} waiting on the board")
    if account.overwritten:
        lines.append(f"  {account.overwritten:>9} lost on the board, which has still to report them")
    lines.append(f"  {account.missing:>9} missing{_spelled(account.missing_ranges)}")
    if account.out_of_order:
        lines.append(f"  {account.out_of_order:>9} arrived for the first time behind a higher number")
    return lines


def _spelled(ranges: tuple[Range, ...]) -> str:
    if not ranges:
        return ""
    return ": " + ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
