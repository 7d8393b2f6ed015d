"""Every frame of every ring in a file, whatever has become of the rest (docs/ring-format.md).

Unlike the device, which opens one ring at a known place and gives up what its headers do not vouch for, this looks
at every sector by itself. One whose header has rotted is tried with the sequence numbers that it could have; one
that belongs to no ring known is asked for the seed of its frames (see `seeds`).
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from fieldpost.commands import journal
from fieldpost.records import schema
from fieldpost.ring import frame, sector
from fieldpost.ring.walk import Walk

from host_tools.errors import UserError
from host_tools.queue.image import BLANK, PAGE_BYTES, SECTOR_BYTES, Image
from host_tools.queue.seeds import seeds, surest

Role = Literal["readings", "urgent", "journal", "empty"]
_NOTE_BYTES: Final = 9
_UNITS: Final = (4, 16, 32, 256)
# A ring that grew keeps sectors of its smaller life; a headerless sector may be of this lap or one before.
_LAPS_TRIED: Final = 4


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
    """A ring: `sectors` oldest first. size: how many it was made with. next_number: no record reached it.

    ring_id: None if not one of its headers is left.
    """

    ring_id: int | None
    size: int
    sectors: list[Sector]
    cursor: int
    lost: int
    next_number: int

    @property
    def name(self) -> str:
        """The ring's id in hexadecimal digits."""
        return "unknown" if self.ring_id is None else f"{self.ring_id:08x}"

    @cached_property
    def records(self) -> list[Record]:
        """Every record that is whole, oldest first, each once."""
        found: dict[int, Record] = {}
        for part in self.sectors:
            for record in part.records:
                found.setdefault(record.number, record)
        return [found[number] for number in sorted(found)]

    @property
    def role(self) -> Role:
        """What the ring is for, told from what it holds (fieldpost.records.schema, commands.journal)."""
        return _role(self.records)

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
                found = _Scan(Image(content)).rings()
    except PermissionError as error:
        raise UserError(f"{path} may not be read by you: run this with sudo") from error
    except (OSError, ValueError) as error:  # mmap: ValueError for a file that is cut meanwhile
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise UserError(
            f"{path} holds no ring of format 2: give the file that ring.path names, or an image of the whole "
            "flash; a ring in littlefs files has to be copied off the board first"
        )
    return found


class _Scan:
    def __init__(self, image: Image) -> None:
        self._image = image

    def rings(self) -> list[FoundRing]:
        headers: dict[int, dict[int, tuple[int, ...]]] = {}  # by ring id: sector index to header
        unclaimed = []
        for index in range(self._image.count):
            header = self._image.header(index)
            if header is not None:
                headers.setdefault(header[sector.RING_ID], {})[index] = header
            elif self._image.sector(index) != BLANK:
                unclaimed.append(index)
        known = [_Known(ring_id, mine, self._alignment(ring_id, mine)) for ring_id, mine in headers.items()]
        for ring in known:
            ring.parts = [
                self._sector(
                    index, frame.seed(ring.ring_id, header[sector.SEQUENCE]), header[sector.SEQUENCE], ring.align
                )
                for index, header in ring.headers.items()
            ]
        orphans = [part for index in unclaimed if (part := self._without_header(index, known)) is not None]
        found = [ring.found() for ring in known] + _rings_of(orphans)
        return sorted(found, key=lambda ring: -len(ring.sectors))

    def _alignment(self, ring_id: int, headers: dict[int, tuple[int, ...]]) -> int:
        """Return the frame alignment under which most frames are whole: the file does not tell it."""
        sample = sorted(headers, key=lambda index: -headers[index][sector.SEQUENCE])[:4]
        known = [(index, frame.seed(ring_id, headers[index][sector.SEQUENCE])) for index in sample]
        return max([int(frame.alignment(unit)) for unit in _UNITS], key=lambda align: self._whole(known, align))

    def _whole(self, known: list[tuple[int, int]], align: int) -> tuple[int, int]:
        parts = [self._sector(index, crc_seed, 0, align) for index, crc_seed in known]
        frames = sum(len(part.records) + part.acknowledgements for part in parts)
        # Under a smaller alignment the same frames are found, and the filling between them looks like damage.
        return frames, -sum(len(part.damage) for part in parts)

    def _without_header(self, index: int, known: list[_Known]) -> Sector | None:
        """Give the sector to its ring; return it if it has frames and none of the rings is theirs."""
        for ring in known:
            for sequence in ring.sequences_at(index):
                if self._is_of(ring, index, sequence):
                    return None
        votes = seeds(self._image.sector(index))
        for ring in known:
            for crc_seed in votes:
                if crc_seed in ring.scattered and self._is_of(ring, index, ring.scattered[crc_seed]):
                    return None
        sure = surest(votes)
        if sure is None:
            return None
        align = max([int(frame.alignment(unit)) for unit in _UNITS], key=lambda a: self._whole([(index, sure)], a))
        part = self._sector(index, sure, 0, align)
        part.has_header = False
        return part

    def _is_of(self, ring: _Known, index: int, sequence: int) -> bool:
        part = self._sector(index, frame.seed(ring.ring_id, sequence), sequence, ring.align)
        if not part.records and not part.acknowledgements:
            return False
        part.has_header = False
        ring.parts.append(part)
        return True

    def _sector(self, index: int, crc_seed: int, sequence: int, align: int) -> Sector:
        at, content = self._image.at(index), self._image.sector(index)
        part = Sector(at, sequence, has_header=True)
        for start in range(0, SECTOR_BYTES, PAGE_BYTES):
            page = memoryview(content)[start : start + PAGE_BYTES]
            walk = Walk(page, align)
            walk.begin(start, crc_seed)
            while walk.next():
                _note_damage(part, walk, at + start)
                offset, end = walk.offset, walk.offset + frame.HEAD_BYTES + walk.length
                kind = page[offset]
                payload = bytes(page[offset + frame.HEAD_BYTES : end])
                # Here the number is only its lower 32 bits; `found` makes it whole.
                low = int.from_bytes(page[offset + 2 : offset + 6], "little")
                if kind == frame.KIND_ACK:
                    part.acknowledgements += 1
                    part.cursor = low
                    part.lost = int.from_bytes(payload, "little")
                else:
                    part.records.append(Record(low, kind, payload, at + start + offset))
            _note_damage(part, walk, at + start)
        return part


class _Known:
    """A ring of which at least one header is left.

    scattered: seed to sequence number, for a ring whose sectors lie in no order (blocks that a file system lent).
    """

    def __init__(self, ring_id: int, headers: dict[int, tuple[int, ...]], align: int) -> None:
        self.ring_id = ring_id
        self.headers = headers
        self.align = align
        self.parts: list[Sector] = []
        newest_index = max(headers, key=lambda index: headers[index][sector.SEQUENCE])
        self._newest = newest = headers[newest_index]
        self._size = size = newest[sector.SECTORS]
        self._base = newest_index - newest[sector.SEQUENCE] % size
        in_order = sum(index - self._base == h[sector.SEQUENCE] % size for index, h in headers.items())
        self._is_in_order = 2 * in_order > len(headers)
        self.scattered: dict[int, int] = {}
        if not self._is_in_order:
            last = newest[sector.SEQUENCE] + 2
            sequences = range(max(0, last - (_LAPS_TRIED - 1) * size), last + 1)
            self.scattered = {frame.seed(ring_id, sequence): sequence for sequence in sequences}

    def sequences_at(self, index: int) -> list[int]:
        """Return the sequence numbers that a sector at this place could have, newest first."""
        place = index - self._base
        if not self._is_in_order or not 0 <= place < self._size:
            return []
        last = self._newest[sector.SEQUENCE] + 2  # one ahead may be torn
        last -= (last - place) % self._size
        return [last - lap * self._size for lap in range(_LAPS_TRIED) if last >= lap * self._size]

    def found(self) -> FoundRing:
        newest = self._newest
        return _ring(
            self.ring_id,
            self._size,
            self.parts,
            newest[sector.FIRST_NUMBER],
            (newest[sector.CURSOR], newest[sector.LOST]),
        )


def _ring(ring_id: int | None, size: int, parts: list[Sector], reference: int, known: tuple[int, int]) -> FoundRing:
    """Return the ring of these sectors. reference: a number near all others; known: (cursor, lost) of a header."""
    parts.sort(key=lambda part: part.sequence)
    cursor, lost = known
    next_number = reference
    for part in parts:
        part.records = [Record(_near(r.number, reference), r.kind, r.payload, r.at) for r in part.records]
        if part.acknowledgements and _near(part.cursor, reference) >= cursor:
            cursor, lost = _near(part.cursor, reference), part.lost
        if part.records:
            next_number = max(next_number, part.records[-1].number + 1)
    return FoundRing(ring_id, size, parts, cursor, lost, next_number)


def _rings_of(orphans: list[Sector]) -> list[FoundRing]:
    """Return the rings that sectors without a header can have been of: by what they hold, in order of their numbers."""
    found: list[tuple[Role, list[Sector]]] = []
    for part in sorted(orphans, key=lambda part: part.records[0].number if part.records else part.cursor):
        role = _role(part.records)
        for other, parts in found:
            if other == role and (not part.records or parts[-1].records[-1].number < part.records[0].number):
                parts.append(part)
                break
        else:
            if part.records:
                found.append((role, [part]))
    rings = []
    for _, parts in found:
        for place, part in enumerate(parts):
            part.sequence = place
        rings.append(_ring(None, len(parts), parts, parts[0].records[0].number, (0, 0)))
    return rings


def _role(records: list[Record]) -> Role:
    notes = (journal.BEGUN, journal.DONE)  # ACTED is as long as a BOOT
    if any(record.kind in notes and len(record.payload) == _NOTE_BYTES for record in records):
        return "journal"
    if any(record.kind in (schema.READING, schema.BOOT) for record in records):
        return "readings"
    return "urgent" if records else "empty"


def _note_damage(part: Sector, walk: Walk, at: int) -> None:
    if walk.damage_end > walk.damage_start:
        part.damage.append((at + walk.damage_start, walk.damage_end - walk.damage_start))


def _near(low: int, reference: int) -> int:
    """Return the number closest to `reference` whose lower 32 bits are `low`."""
    distance = (low - reference) & 0xFFFFFFFF
    return reference + (distance if distance < 1 << 31 else distance - (1 << 32))
