"""What a sector's frames say of the header that it has lost.

The CRC of a frame is seeded with ring and sector (fieldpost.ring.frame). CRC-32 can be run backwards, so that every
stretch of bytes that could be a frame tells the one seed under which it is whole. Bytes that are no frame tell one
seed in 2^32. Two records that tell the same and have numbers that one sector can hold are frames; the same seed alone
is not enough, since commits of littlefs end in a CRC of the same polynomial.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from fieldpost.limits import RECORD_BYTES_MAX, STAMP_BYTES
from fieldpost.records import schema
from fieldpost.ring import frame, sector

from host_tools.queue.image import PAGE_BYTES, SECTOR_BYTES

_POLYNOMIAL: Final = 0xEDB88320
_ALIGNMENTS: Final = (4, 16, 32, 256)
_KINDS: Final = (schema.READING, schema.BOOT, schema.ANCHOR, schema.RESULT, schema.SCHEMA, schema.ALARM)
_RECORDS_PER_SECTOR_MAX: Final = SECTOR_BYTES // (frame.OVERHEAD_BYTES + STAMP_BYTES)


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE: Final = _table()
_BY_HIGH_BYTE: Final = {entry >> 24: index for index, entry in enumerate(_TABLE)}


def unroll(data: bytes, crc: int) -> int:
    """Return the seed for which crc32(data, seed) is `crc`."""
    register = crc ^ 0xFFFFFFFF
    for byte in reversed(data):
        index = _BY_HIGH_BYTE[register >> 24]
        register = ((register ^ _TABLE[index]) << 8 & 0xFFFFFFFF) | (index ^ byte)
    return register ^ 0xFFFFFFFF


def surest(votes: dict[int, set[int]]) -> int | None:
    """Return the seed that most records tell, None if no two vouch for one another."""
    seed = max(votes, key=lambda seed: len(votes[seed]), default=0)
    numbers = sorted(votes.get(seed, ()))
    close = [one for one, other in pairwise(numbers) if other - one < _RECORDS_PER_SECTOR_MAX]
    return seed if close else None


def seeds(content: bytes) -> dict[int, set[int]]:
    """Return for each seed the numbers of the records that tell it, among the first two of each page of a sector."""
    votes: dict[int, set[int]] = {}
    for page in range(0, SECTOR_BYTES, PAGE_BYTES):
        places = {page}
        if page == 0:
            places = {frame.aligned(sector.HEADER_BYTES, align) for align in _ALIGNMENTS} - {PAGE_BYTES}
        seconds = set()
        for at in places:
            length = content[at + 1]
            if _tell(content, at, page + PAGE_BYTES, votes):
                seconds |= {at + frame.size(length, align) for align in _ALIGNMENTS}
        for at in seconds - places:
            _tell(content, at, page + PAGE_BYTES, votes)
    return votes


def _tell(content: bytes, at: int, limit: int, votes: dict[int, set[int]]) -> bool:
    """Note the seed under which there is a frame at `at`; return whether there can be one at all."""
    if at + frame.OVERHEAD_BYTES > limit:
        return False
    kind, length = content[at], content[at + 1]
    end = at + frame.HEAD_BYTES + length
    is_record = kind in _KINDS and STAMP_BYTES <= length <= RECORD_BYTES_MAX
    if end + frame.CRC_BYTES > limit or not (is_record or kind == frame.KIND_ACK):
        return False
    data, crc = content[at:end], int.from_bytes(content[end : end + frame.CRC_BYTES], "little")
    numbers = votes.setdefault(unroll(data, crc), set())
    if is_record:
        numbers.add(int.from_bytes(data[2 : frame.HEAD_BYTES], "little"))
    return True
