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


class Inquiry:
    """Weighs the messages of one device as they are told, in the order in which the hub stored them."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._ledgers: dict[str, Ledger] = {}
        self._seen = self._foreign = self._unreadable = 0

    @property
    def size(self) -> int:
        """How many separate ranges it keeps, and at least one for each ring: what its memory grows with."""
        return sum(ledger.size for ledger in self._ledgers.values())

    def hear(self, message: Message) -> None:
        """Note one message of the device."""
        self._seen += 1
        if not claims.is_ours(message.properties):
            self._foreign += 1
            return
        try:
            claimed = claims.read(message.body)
        except claims.Unreadable:
            self._unreadable += 1
            return
        ledger = self._ledgers.get(claimed.ring)
        if ledger is None:
            ledger = self._ledgers[claimed.ring] = Ledger(self._device, claimed.ring)
        ledger.enter(claimed)

    def close(self, tails: Sequence[RingTail] = ()) -> Finding:
        """Return what was found so far; more may be told afterwards."""
        on_flash = {tail.ring: tail for tail in tails}
        for ring in on_flash:
            self._ledgers.setdefault(ring, Ledger(self._device, ring))
        accounts = tuple(ledger.close(on_flash.get(ring)) for ring, ledger in self._ledgers.items())
        return Finding(self._device, accounts, self._seen, self._foreign, self._unreadable)


def judge(device: str, messages: Iterable[Message], tails: Sequence[RingTail] = ()) -> Finding:
    """Weigh every message of `device`, in the order in which the hub stored them.

    tails: what the board's flash says (`read_tail`). It must be read before the messages: what it calls
    confirmed is then in the store for certain.
    """
    inquiry = Inquiry(device)
    for message in messages:
        if message.device_id == device:
            inquiry.hear(message)
    return inquiry.close(tails)
