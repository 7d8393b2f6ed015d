"""Every frame of every ring in a file, whatever has become of the rest (docs/ring-format.md).

Unlike the device, which opens one ring at a known place and gives up what its headers do not vouch for, this looks
at every sector by itself. A sector whose header has rotted is tried with the sequence numbers that it could have:
a frame's CRC is seeded with ring and sector, so that only the right one fits.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from fieldpost.records import schema
from fieldpost.ring import frame, sector
from fieldpost.ring.walk import Walk

from host_tools.errors import UserError

SECTOR_BYTES: Final = 4096
PAGE_BYTES: Final = 256
_MAGIC: Final = b"FPR2"
Role = Literal["readings", "urgent", "journal", "empty"]
_NOTE_BYTES: Final = 9
_UNITS: Final = (4, 16, 32, 256)
# A ring that grew keeps sectors of its smaller life; a headerless sector may be of this lap or the one before.
_LAPS_TRIED: Final = 2


@dataclass(frozen=True)
class Record:
    """One record. number: its own for the life of the ring; at: offset of its frame in the file."""

    number: int
    kind: int
    payload: bytes
    at: int


@dataclass
class Sector:
    """What was found in one sector. damage: (offset in the file, bytes) of every stretch whose CRC failed."""

    at: int
    sequence: int
    has_header: bool
    records: list[Record] = field(default_factory=list)
    acknowledgements: int = 0
    damage: list[tuple[int, int]] = field(default_factory=list)
    cursor: int = 0
    lost: int = 0


@dataclass
class FoundRing:
    """A ring: `sectors` oldest first. size: how many it was made with. next_number: no record reached it."""

    ring_id: int
    size: int
    sectors: list[Sector]
    cursor: int
    lost: int
    next_number: int

    @property
    def records(self) -> Iterator[Record]:
        """Give every record that is whole, oldest first, each once."""
        last = 0
        for part in self.sectors:
            for record in part.records:
                if record.number > last:
                    last = record.number
                    yield record

    @property
    def role(self) -> Role:
        """What the ring is for, told from what it holds (fieldpost.records.schema, commands.journal)."""
        records = list(self.records)
        if any(record.kind == schema.READING and len(record.payload) == _NOTE_BYTES for record in records):
            return "journal"  # a command's BEGUN; a reading is longer
        if any(record.kind in (schema.READING, schema.BOOT) for record in records):
            return "readings"
        return "urgent" if records else "empty"

    @property
    def damage(self) -> list[tuple[int, int]]:
        """Return offset and length of every stretch that fails its CRC."""
        return [stretch for part in self.sectors for stretch in part.damage]

    def missing(self) -> list[tuple[int, int]]:
        """Return the ranges of numbers, first and last, that should be kept and cannot be read."""
        gaps = []
        expected = None
        for record in self.records:
            if expected is not None and record.number > expected:
                gaps.append((expected, record.number - 1))
            expected = record.number + 1
        if expected is not None and expected < self.next_number:
            gaps.append((expected, self.next_number - 1))
        return gaps


def scan(path: Path) -> list[FoundRing]:
    """Return every ring in the file, the one with most sectors first. UserError if there is none to read."""
    try:
        with open(path, "rb") as file:
            if file.seek(0, 2) == 0:
                raise UserError(f"{path} is empty: give the queue's file or an image of the board's flash")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _Scan(content, path).rings()
    except PermissionError as error:
        raise UserError(f"{path} may not be read by you: run this with sudo") from error
    except (OSError, ValueError) as error:  # mmap: ValueError for a file that is cut meanwhile
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


class _Scan:
    def __init__(self, content: mmap.mmap, path: Path) -> None:
        self._content = content
        self._path = path
        self._shift = self._first_header() % SECTOR_BYTES
        self._count = -(-(len(content) - self._shift) // SECTOR_BYTES)

    def rings(self) -> list[FoundRing]:
        headers: dict[int, dict[int, tuple[int, ...]]] = {}  # by ring id: sector index to header
        for index in range(self._count):
            header = self._header(index)
            if header is not None:
                headers.setdefault(header[sector.RING_ID], {})[index] = header
        found = [self._ring(ring_id, mine, headers) for ring_id, mine in headers.items()]
        return sorted(found, key=lambda ring: -len(ring.sectors))

    def _first_header(self) -> int:
        """Return the offset of the first whole header; an image may begin anywhere."""
        at = self._content.find(_MAGIC)
        while at >= 0:
            if sector.unpack(memoryview(self._content[at : at + sector.HEADER_BYTES].ljust(sector.HEADER_BYTES))):
                return at
            at = self._content.find(_MAGIC, at + 1)
        raise UserError(
            f"{self._path} holds no ring of format 2: give the file that ring.path names, or an image of the whole "
            "flash; a ring in littlefs files has to be copied off the board first"
        )

    def _header(self, index: int) -> tuple[int, ...] | None:
        at = self._shift + index * SECTOR_BYTES
        head = self._content[at : at + sector.HEADER_BYTES]
        found: tuple[int, ...] | None = sector.unpack(memoryview(head)) if len(head) == sector.HEADER_BYTES else None
        return found

    def _ring(
        self, ring_id: int, headers: dict[int, tuple[int, ...]], all_headers: dict[int, dict[int, tuple[int, ...]]]
    ) -> FoundRing:
        newest_index = max(headers, key=lambda index: headers[index][sector.SEQUENCE])
        newest = headers[newest_index]
        size = newest[sector.SECTORS]
        align = self._alignment(ring_id, headers)
        parts = [self._sector(index, ring_id, header[sector.SEQUENCE], align) for index, header in headers.items()]
        claimed = {index for mine in all_headers.values() for index in mine}
        parts += self._headerless(ring_id, newest_index, newest, align, claimed)
        parts.sort(key=lambda part: part.sequence)
        reference = newest[sector.FIRST_NUMBER]
        cursor, lost, next_number = newest[sector.CURSOR], newest[sector.LOST], reference
        for part in parts:
            part.records = [Record(_near(r.number, reference), r.kind, r.payload, r.at) for r in part.records]
            if part.acknowledgements and _near(part.cursor, reference) >= cursor:
                cursor, lost = _near(part.cursor, reference), part.lost
            if part.records:
                next_number = max(next_number, part.records[-1].number + 1)
        return FoundRing(ring_id, size, parts, cursor, lost, next_number)

    def _alignment(self, ring_id: int, headers: dict[int, tuple[int, ...]]) -> int:
        """Return the frame alignment under which most frames are whole: the file does not tell it."""
        sample = sorted(headers, key=lambda index: -headers[index][sector.SEQUENCE])[:4]

        def whole(align: int) -> tuple[int, int]:
            parts = [self._sector(index, ring_id, headers[index][sector.SEQUENCE], align) for index in sample]
            frames = sum(len(part.records) + part.acknowledgements for part in parts)
            # Under a smaller alignment the same frames are found, and the filling between them looks like damage.
            return frames, -sum(len(part.damage) for part in parts)

        return max([int(frame.alignment(unit)) for unit in _UNITS], key=whole)

    def _headerless(
        self, ring_id: int, newest_index: int, newest: tuple[int, ...], align: int, claimed: set[int]
    ) -> list[Sector]:
        """Return the sectors without a header that hold frames of this ring."""
        size = newest[sector.SECTORS]
        base = newest_index - newest[sector.SEQUENCE] % size
        found = []
        for index in range(max(0, base), min(self._count, base + size)):
            if index in claimed:
                continue
            # The newest sequence number of this place, then those of the laps before; one ahead may be torn.
            newest_here = newest[sector.SEQUENCE] + 2
            newest_here -= (newest_here - (index - base)) % size
            for lap in range(_LAPS_TRIED):
                sequence = newest_here - lap * size
                if sequence < 0:
                    continue
                part = self._sector(index, ring_id, sequence, align)
                if part.records or part.acknowledgements:
                    part.has_header = False
                    found.append(part)
                    break
        return found

    def _sector(self, index: int, ring_id: int, sequence: int, align: int) -> Sector:
        at = self._shift + index * SECTOR_BYTES
        content = self._content[at : at + SECTOR_BYTES]
        part = Sector(at, sequence, has_header=True)
        crc_seed = frame.seed(ring_id, sequence)
        for start in range(0, len(content) - PAGE_BYTES + 1, PAGE_BYTES):
            page = memoryview(content)[start : start + PAGE_BYTES]
            walk = Walk(page, align)
            walk.begin(0 if start else frame.aligned(sector.HEADER_BYTES, align), crc_seed)
            while walk.next():
                _note_damage(part, walk, at + start)
                offset, end = walk.offset, walk.offset + frame.HEAD_BYTES + walk.length
                kind = page[offset]
                payload = bytes(page[offset + frame.HEAD_BYTES : end])
                # Here the number is only its lower 32 bits; `_ring` makes it whole.
                low = int.from_bytes(page[offset + 2 : offset + 6], "little")
                if kind == frame.KIND_ACK:
                    part.acknowledgements += 1
                    part.cursor = low
                    part.lost = int.from_bytes(payload, "little")
                else:
                    part.records.append(Record(low, kind, payload, at + start + offset))
            _note_damage(part, walk, at + start)
        return part


def _note_damage(part: Sector, walk: Walk, at: int) -> None:
    if walk.damage_end > walk.damage_start:
        part.damage.append((at + walk.damage_start, walk.damage_end - walk.damage_start))


def _near(low: int, reference: int) -> int:
    """Return the number closest to `reference` whose lower 32 bits are `low`."""
    distance = (low - reference) & 0xFFFFFFFF
    return reference + (distance if distance < 1 << 31 else distance - (1 << 32))
