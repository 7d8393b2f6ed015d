"""One record on flash: a frame that is whole or is not there.

    offset  bytes
    0       1      kind: 1 to 100 a record, 0x7E an acknowledgement, 0xFF blank flash
    1       1      length of the payload
    2       4      the lower 32 bits of the record number, little endian
    6       n      payload
    6 + n   4      CRC-32 of everything before, seeded with the ring's id and the sector's sequence number
            0..15  0xFF up to the region's alignment

A frame is programmed by one command inside one page, and every page begins with a frame. Its CRC is the
commit mark; no bit of it is written again before the sector is erased, so that parts with ECC hold it as
well as plain ones. The seed binds a frame to its sector's present life: what an earlier lap or a stray
write left there fails the check.
"""

import struct
from binascii import crc32

from fieldpost.compat import const

KIND_MAX = const(100)
KIND_ACK = const(0x7E)
KIND_BLANK = const(0xFF)
HEAD_BYTES = const(6)
CRC_BYTES = const(4)
OVERHEAD_BYTES = const(10)
# The CRC-32 of anything that ends with its own CRC-32, whatever the seed; a small integer on boards too.
CRC_OF_WHOLE = const(0x2144DF1C)
_ALIGNMENT_MIN = const(4)  # esp32.Partition programs words fastest, and offsets stay easy to read in a dump


def alignment(unit_bytes):
    """Return the frame alignment (bytes) for a region of that program unit."""
    return max(_ALIGNMENT_MIN, unit_bytes)


def seed(ring_id, sequence):
    """Return the CRC seed of a sector: 32 bits made of the ring's id and the sector's sequence number."""
    return crc32(struct.pack("<IQ", ring_id, sequence))


def aligned(length, align):
    """Return `length` (bytes) rounded up to a multiple of `align`."""
    return (length + align - 1) // align * align


def size(length, align):
    """Return the bytes that a frame with `length` bytes of payload takes on flash."""
    return aligned(OVERHEAD_BYTES + length, align)


def pack(page, head, kind, number, payload, crc_seed, align):
    """Write a frame to the head of `page` (a memoryview of a page buffer); return its size in bytes.

    head: memoryview of the first HEAD_BYTES of `page`, so that none is made for each record.
    """
    length = len(payload)
    end = HEAD_BYTES + length
    struct.pack_into("<BBI", page, 0, kind, length, number & 0xFFFFFFFF)
    page[HEAD_BYTES:end] = payload
    struct.pack_into("<I", page, end, crc32(payload, crc32(head, crc_seed)))
    end += CRC_BYTES
    total = aligned(end, align)
    while end < total:
        page[end] = 0xFF
        end += 1
    return total


def number_before(page, offset, limit):
    """Return the number that the frame at `offset` names: the highest below `limit` with those 32 bits."""
    # Not by struct, whose tuple would be made for each record.
    low = page[offset + 2] | page[offset + 3] << 8 | page[offset + 4] << 16 | page[offset + 5] << 24
    return low if low < limit < 0x40000000 else limit - 1 - ((limit - 1 - low) & 0xFFFFFFFF)
