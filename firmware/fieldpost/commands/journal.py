"""Which commands were begun, acted and done: the memory, across power cuts, that makes an effect happen once.

Each note is a record in a small ring of the journal's own, which lets its oldest sector go for room:

    offset  bytes
    0       8      the first bytes of SHA-256 of the command's message id
    8       1      status, an index into STATUSES (0 in BEGUN)
    9       2      in BEGUN, if the sender said when it was sent: the first bytes of SHA-256 of the pin's name
    11      6      and that moment, Unix ms

    record kind    BEGUN     the effect may have happened, wholly or in part
                   ACTED     it has happened; the answer may not have been stored
                   DONE      the answer is stored: a repeat needs nothing but its acknowledgement

The newest JOURNAL_ENTRIES_MAX ids are held in RAM. The first question reads them back and writes nothing: most boots
never see a command, and begin sooner. IoT Hub keeps at most 50 messages for a device, so a repeat that the table does
not know any more must have been passed by more than a hundred others.
"""

import hashlib

from fieldpost.compat import const
from fieldpost.limits import JOURNAL_ENTRIES_MAX

NEW = const(0)  # never a record: what `state` says of an id that is not known
BEGUN = const(1)
ACTED = const(2)
DONE = const(3)

STATUS_DONE = "done"
STATUS_REFUSED = "refused"
STATUS_INTERRUPTED = "interrupted"
STATUS_FAILED = "failed"
STATUSES = (STATUS_DONE, STATUS_REFUSED, STATUS_INTERRUPTED, STATUS_FAILED)  # order is on flash: only append

_STATE_BITS = const(2)
_STATE_MASK = const(3)
_DIGEST_BYTES = const(8)
_NOTE_BYTES = const(9)
_PIN_BYTES = const(2)
_SENT_BYTES = const(6)
_LONG_NOTE_BYTES = const(17)
_NOT_READ = const(-1)  # in place of the next slot: what flash knows has not been asked for


def digest(message_id):
    """Return what the journal knows a message id by: 8 bytes, the same for the same id on every boot."""
    return hashlib.sha256(message_id.encode()).digest()[:_DIGEST_BYTES]


def _pin_digest(name):
    return digest(name)[:_PIN_BYTES]


class Journal:
    """The newest notes of a Ring that holds nothing else.

    Writing raises OSError if the flash failed for good; `acted` and `done` hold for this boot even then.
    """

    def __init__(self, ring):
        self._ring = ring
        self._digests = bytearray(JOURNAL_ENTRIES_MAX * _DIGEST_BYTES)
        self._states = bytearray(JOURNAL_ENTRIES_MAX)  # and above their two bits the index of a status
        self._next_slot = _NOT_READ
        self._note = bytearray(_NOTE_BYTES)
        self._newest = {}  # by pin: when the newest command that acted on it was sent

    def state(self, key):
        """Return NEW, BEGUN, ACTED or DONE. key: what `digest` gave."""
        slot = self._find(key)
        return NEW if slot < 0 else self._states[slot] & _STATE_MASK

    def status(self, key):
        """Return the status (one of STATUSES) that the last note of a known id carries."""
        return STATUSES[self._states[self._find(key)] >> _STATE_BITS]

    def newest_ms(self, pin):
        """Return when the newest command that acted on `pin` was sent, Unix ms, or None if none said so."""
        if self._next_slot == _NOT_READ:
            self._read_back()
        return self._newest.get(_pin_digest(pin)) if self._newest else None

    def begun(self, key, pin=None, sent_ms=None):
        """Note durably that the effect is about to happen, on `pin`, for a command that was sent at `sent_ms`."""
        if pin is None or sent_ms is None or not 0 <= sent_ms < 1 << 8 * _SENT_BYTES:
            self._append(BEGUN, key, 0)
        else:
            place = _pin_digest(pin)
            self._newest[place] = sent_ms
            self._ring.append(BEGUN, key + b"\0" + place + sent_ms.to_bytes(_SENT_BYTES, "little"))
        self._remember(BEGUN, key, 0)

    def acted(self, key, status):
        """Note durably that the effect has happened, or has failed, as `status` says."""
        index = STATUSES.index(status)
        self._remember(ACTED, key, index)
        self._append(ACTED, key, index)

    def done(self, key, status):
        """Note durably that the answer is stored."""
        index = STATUSES.index(status)
        self._remember(DONE, key, index)
        self._append(DONE, key, index)

    def _append(self, kind, key, status_index):
        self._note[:_DIGEST_BYTES] = key
        self._note[_DIGEST_BYTES] = status_index
        self._ring.append(kind, self._note)

    def _read_back(self):
        self._next_slot = 0
        reader = self._ring.reader()
        length = reader.next()
        while length >= 0:
            note, kind = reader.payload, reader.kind
            if length == _LONG_NOTE_BYTES and kind == BEGUN:
                place = bytes(note[_NOTE_BYTES : _NOTE_BYTES + _PIN_BYTES])
                self._newest[place] = int.from_bytes(note[_NOTE_BYTES + _PIN_BYTES :], "little")
                length = _NOTE_BYTES
            # What a later version may have noted in another shape is nothing that this one can judge.
            if length == _NOTE_BYTES and BEGUN <= kind <= DONE and note[_DIGEST_BYTES] < len(STATUSES):
                self._remember(kind, bytes(note[:_DIGEST_BYTES]), note[_DIGEST_BYTES])
            length = reader.next()

    def _remember(self, state, key, status_index):
        slot = self._find(key)
        if slot < 0:
            slot = self._next_slot
            self._next_slot = (slot + 1) % JOURNAL_ENTRIES_MAX
            self._digests[slot * _DIGEST_BYTES : (slot + 1) * _DIGEST_BYTES] = key
        self._states[slot] = status_index << _STATE_BITS | state

    def _find(self, key):
        """Return the slot of `key`, or -1."""
        if self._next_slot == _NOT_READ:
            self._read_back()
        at = self._digests.find(key)
        while at >= 0:
            slot = at // _DIGEST_BYTES
            if at % _DIGEST_BYTES == 0 and self._states[slot] != NEW:
                return slot
            at = self._digests.find(key, at + 1)  # it lay across two digests
        return -1
