"""One command while it waits: checked arguments, or the reason why it will be refused."""

from fieldpost.commands.journal import digest
from fieldpost.limits import COMMAND_NAME_CHARS_MAX, RESULT_TEXT_BYTES_MAX


class Command:
    """What was asked, and what the newest delivery of it is acknowledged with (`token`).

    id: message id (`$.mid` at Azure), "" if the sender gave none; key: what the journal knows it by, or None.
    name: as it was asked for (str). word, arguments: what it means, both None if it means nothing.
    expires_ms: Unix time in ms from which on it must not act, or None.
    reason: why it may not act at all, or None. proof: see that module; None for what no queue has held back.
    via: the way in which it came, see answer. correlation_id: text, "" if none.
    """

    def __init__(self, command_id, name, word, arguments, expires_ms, reason, token, proof, via, correlation_id):
        self.key = digest(command_id) if command_id else None
        # Both have the length that the sender chose; an answer shows no more of them than this.
        self.id = command_id[:RESULT_TEXT_BYTES_MAX]
        self.name = name[: COMMAND_NAME_CHARS_MAX + 1]
        self.word = word
        self.arguments = arguments
        self.expires_ms = expires_ms
        self.reason = reason
        self.token = token
        self.proof = proof
        self.via = via
        self.correlation_id = correlation_id[:RESULT_TEXT_BYTES_MAX]

    @property
    def pin(self):
        """The name of the pin that it is about, or None."""
        return None if self.word is None else self.arguments.get("pin")

    @property
    def sent_ms(self):
        """When it was sent, as the sender says (Unix ms), or None."""
        return None if self.proof is None else self.proof.sent_ms
