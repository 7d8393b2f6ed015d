"""The header of a sector: which ring and lap it belongs to, and what was known when it was opened.

    offset  bytes
    0       4      magic "FPR2": the digit is the version of the format
    4       2      sectors in the ring
    6       2      age: sectors opened since the ring got this size, 65535 at most
    8       4      ring id: random, drawn when the ring was made
    12      4      lost: records reported to the hub as lost, up to the cursor
    16      8      sequence number: +1 for each sector opened or passed over; sequence % sectors is its place
    24      8      number of the first record in it
    32      8      cursor: every record up to it has been confirmed by the hub
    40      4      CRC-32 of everything before

All little endian. A sector without a valid header is erased again before it is used, whatever it reads
as: flash whose erase was interrupted can read as all ones and still be too weak to hold data.
"""

import struct
from binascii import crc32

from fieldpost.compat import const
from fieldpost.limits import RING_SECTORS_MIN
from fieldpost.ring.frame import CRC_OF_WHOLE

HEADER_BYTES = const(44)
AGE_MAX = const(65_535)
MAGIC = b"FPR2"
_FORMAT = "<4sHHIIQQQ"
_CRC_AT = const(40)
_COUNT_LIMIT = 1 << 62  # what counts upwards from 1 never comes here, and has room to go on

# What `unpack` returns, by place.
SECTORS = const(0)
AGE = const(1)
RING_ID = const(2)
LOST = const(3)
SEQUENCE = const(4)
FIRST_NUMBER = const(5)
CURSOR = const(6)


def pack(buffer, sectors, age, ring_id, lost, sequence, first_number, cursor):
    """Write a header to the first HEADER_BYTES of `buffer`."""
    struct.pack_into(_FORMAT, buffer, 0, MAGIC, sectors, age, ring_id, lost, sequence, first_number, cursor)
    struct.pack_into("<I", buffer, _CRC_AT, crc32(buffer[:_CRC_AT]))


def unpack(buffer):
    """Return (sectors, age, ring id, lost, sequence, first number, cursor), or None if this is no header.

    buffer: memoryview of HEADER_BYTES. Whether it stands at its place is for the caller to ask. One that no ring
    can have written is none, whatever its CRC says.
    """
    if buffer[0] != MAGIC[0] or buffer[:4] != MAGIC or crc32(buffer) != CRC_OF_WHOLE:
        return None
    header = struct.unpack_from(_FORMAT, buffer, 0)[1:]
    is_sound = header[CURSOR] < header[FIRST_NUMBER] < _COUNT_LIMIT and header[SEQUENCE] < _COUNT_LIMIT
    return header if is_sound and header[SECTORS] >= RING_SECTORS_MIN else None
