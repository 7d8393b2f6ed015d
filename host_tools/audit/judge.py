"""From a hub's messages to a finding: one account for each ring that a device has ever had."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from host_tools.audit import claims
from host_tools.audit.ledger import Account, Ledger, RingTail


class Message(Protocol):
    """What an audit needs of a stored message."""

    @property
    def device_id(self) -> str: ...
    @property
    def properties(self) -> Mapping[str, str | None]: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True)
class Finding:
    """What an audit of one device found: one account for each ring. A wiped flash begins new ones.

    foreign: messages of other programs; unreadable: messages marked as fieldpost's that say nothing sensible.
    """

    device: str
    accounts: tuple[Account, ...]
    messages: int
    foreign: int
    unreadable: int

    @property
    def is_whole(self) -> bool:
        """Whether every number of every ring is accounted for and every message could be read."""
        return self.unreadable == 0 and all(account.is_whole for account in self.accounts)

    def total(self, count: str) -> int:
        """Return the sum of one of the accounts' counts, such as "missing"."""
        return sum(getattr(account, count) for account in self.accounts)


def judge(device: str, messages: Iterable[Message], tails: Sequence[RingTail] = ()) -> Finding:
    """Weigh every message of `device`, in the order in which the hub stored them.

    tails: what the board's flash says (`read_tail`). It must be read before the messages: what it calls
    confirmed is then in the store for certain.
    """
    ledgers: dict[str, Ledger] = {}
    seen = foreign = unreadable = 0
    for message in messages:
        if message.device_id != device:
            continue
        seen += 1
        if not claims.is_ours(message.properties):
            foreign += 1
            continue
        try:
            claimed = claims.read(message.body)
        except claims.Unreadable:
            unreadable += 1
            continue
        ledgers.setdefault(claimed.ring, Ledger(device, claimed.ring)).enter(claimed)
    on_flash = {tail.ring: tail for tail in tails}
    for ring in on_flash:
        ledgers.setdefault(ring, Ledger(device, ring))
    accounts = tuple(ledger.close(on_flash.get(ring)) for ring, ledger in ledgers.items())
    return Finding(device, accounts, seen, foreign, unreadable)
