"""Is anything missing? Answered from the hub's store and the flash alone, never from the agent's word."""

from host_tools.audit.judge import Finding, Inquiry, judge
from host_tools.audit.ledger import Account, Ledger, RingTail
from host_tools.audit.report import as_json, proof
from host_tools.audit.tail import read_tail

__all__ = ["Account", "Finding", "Inquiry", "Ledger", "RingTail", "as_json", "judge", "proof", "read_tail"]
