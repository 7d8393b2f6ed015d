"""What a hub that queues commands hands over beside them, for `commands.policy` to judge."""


class Proof:
    """sent_ms: Unix ms or None; signature: text or None; body: bytes as sent."""

    def __init__(self, sent_ms, signature, body):
        self.sent_ms = sent_ms
        self.signature = signature
        self.body = body
