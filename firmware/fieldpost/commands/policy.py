"""Which commands this device takes at all: an allow list, a rate, an age, and signatures.

A command signed for words in `signed` carries the property `sig`: the hexadecimal HMAC-SHA256, with a key that the
hub does not have, of four lines: device id, message id, expiry (Unix ms), and the name, followed by the body as it
was sent. Its expiry ends the time in which it could be replayed; within that time its id is known to the journal.
"""

from binascii import hexlify

from fieldpost import hmac_sha256

_MINUTE_MS = 60_000


class Policy:
    """settings: the configuration's `commands`. key: bytes that sign commands, or None. device_id: of this device."""

    def __init__(self, settings, key, device_id):
        self._allowed = settings["allow"]
        self._per_minute = settings["per_minute"]
        self._signed = settings["signed"] or ()
        self._age_s_max = settings["age_s_max"]
        self.safe_after_s = settings["safe_after_s"]
        self._key = key
        self._device_id = device_id
        self._credit_ms = _MINUTE_MS
        self._credited_ms = 0

    def refusal(self, command, now_ms, utc_ms):
        """Return why `command` may not act, or None; one that may has used up a part of the rate."""
        reason = None
        if self._allowed is not None and command.word.name not in self._allowed:
            reason = "%s is not on this device's list of allowed commands" % command.word.name
        elif command.word.name in self._signed:
            reason = self._signature_fault(command)
        reason = reason or self._age_fault(command, utc_ms)
        if reason is None and self._per_minute and not self._has_credit(now_ms):
            reason = "more than %d commands a minute" % self._per_minute
        return reason

    def _signature_fault(self, command):
        name = command.word.name
        proof = command.proof
        if self._key is None:
            return "%s needs a signature, and this device has no key to check it with" % name
        if proof is None or not proof.signature:
            return "%s needs a signature" % name
        if command.expires_ms is None or not command.id:
            return "a signed command needs an expiry and a message id"
        head = "%s\n%s\n%d\n%s\n" % (self._device_id, command.id, command.expires_ms, name)
        expected = hexlify(hmac_sha256.digest(self._key, head.encode() + proof.body))
        return None if hmac_sha256.is_equal(expected, proof.signature.lower().encode()) else "the signature is wrong"

    def _age_fault(self, command, utc_ms):
        if command.proof is None:
            return None  # it was not queued anywhere
        sent_ms = command.proof.sent_ms
        if self._age_s_max:
            if sent_ms is None or utc_ms is None:
                return "its age is not known: it needs the property `at` (Unix ms), and the device the time"
            if utc_ms - sent_ms > self._age_s_max * 1000:
                return "it is older than %d s" % self._age_s_max
        return None

    def _has_credit(self, now_ms):
        price_ms = _MINUTE_MS // self._per_minute
        self._credit_ms = min(_MINUTE_MS, self._credit_ms + now_ms - self._credited_ms)
        self._credited_ms = now_ms
        if self._credit_ms < price_ms:
            return False
        self._credit_ms -= price_ms
        return True
