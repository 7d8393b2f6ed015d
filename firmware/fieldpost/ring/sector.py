"""The header of a sector: which lap it belongs to, and what was known when it was opened.

    offset  bytes
    0       4      magic "FPR1"
    4       2      format version
    6       2      sectors in the region
    8       4      ring id: random, drawn when the region was first used
    12      4      sequence number: +1 for each sector opened or passed over, and sequence % sectors is its place
    16      4      number of the first record in it
    20      4      cursor: every record up to it has been confirmed by the hub
    24      4      lost: records reported to the hub as lost, up to the cursor
    28      4      CRC-32 of everything before

All little endian. A sector without a valid header is erased again before it is used, whatever it reads
as: flash whose erase was interrupted can read as all ones and still be too weak to hold data.
"""

import struct
from binascii import crc32

from fieldpost.compat import const

HEADER_BYTES = const(32)
_MAGIC = b"FPR1"
_VERSION = const(1)
_FORMAT = "<4sHHIIIII"


def pack(buffer, sector_count, ring_id, sequence, first_number, cursor, lost):
    """Write a header to the first HEADER_BYTES of `buffer`."""
    struct.pack_into(_FORMAT, buffer, 0, _MAGIC, _VERSION, sector_count, ring_id, sequence, first_number, cursor, lost)
    struct.pack_into("<I", buffer, HEADER_BYTES - 4, crc32(buffer[: HEADER_BYTES - 4]))


def unpack(buffer, index, sector_count):
    """Return (ring_id, sequence, first_number, cursor, lost), or None if this is no header of this place.

    buffer: memoryview of HEADER_BYTES; index: the sector's place in a region of `sector_count` sectors.
    """
    magic, version, count, ring_id, sequence, first_number, cursor, lost = struct.unpack_from(_FORMAT, buffer, 0)
    if magic != _MAGIC or version != _VERSION or count != sector_count:
        return None
    if struct.unpack_from("<I", buffer, HEADER_BYTES - 4)[0] != crc32(buffer[: HEADER_BYTES - 4]):
        return None
    if sequence % sector_count != index:
        return None
    return ring_id, sequence, first_number, cursor, lost
