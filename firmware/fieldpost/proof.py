"""What a hub that queues commands hands over beside them: for `commands.policy` to judge, and for the answer."""


class Proof:
    """sent_ms: Unix ms or None; signature: text or None; body: bytes as sent; correlation_id: text, "" if none."""

    def __init__(self, sent_ms, signature, body, correlation_id=""):
        self.sent_ms = sent_ms
        self.signature = signature
        self.body = body
        self.correlation_id = correlation_id
