"""A serial NOR flash part: erase sets bits, program clears them, and a power cut leaves either half done.

Portable to MicroPython, so that the same part lies under the unit tests of both interpreters and under the
emulated board. Behaviour after Winbond W25Q16JV, sections 8.2.15 to 8.2.17, and after what flash is known to
do when its supply fails: any subset of the bits of a program, any mixture of a sector that was being erased,
and sectors that read as erased but are still weak.
"""

_ERASED = 0xFF


class PowerCut(BaseException):
    """The supply failed inside an operation; nothing works until `power_up`."""


class NorFlash:
    """A region (see fieldpost.ring.region) over `memory`, a bytearray-like of whole sectors, or its size.

    unit_bytes: with `write_once`, each unit of that size may be programmed once between erases, as on parts
    with ECC or under flash encryption. strict: asking a 0 to become 1 raises instead of being counted.
    seed: of the generator that decides how a cut or a weak bit looks.
    """

    is_cached = False
    group_records = 1

    def __init__(self, memory, sector_bytes=4096, page_bytes=256, unit_bytes=1, strict=True, write_once=False, seed=1):
        if isinstance(memory, int):
            memory = bytearray(b"\xff" * memory)
        if not len(memory) or len(memory) % sector_bytes:
            raise ValueError("%d bytes are not whole sectors of %d" % (len(memory), sector_bytes))
        self.memory = memory
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.unit_bytes = unit_bytes
        self.sector_count = len(memory) // sector_bytes
        self.strict = strict
        self.reads = 0
        self.programs = 0
        self.bytes_programmed = 0
        self.erases = 0
        self.violations = 0
        self.sector_erases = [0] * self.sector_count
        self.was_cut = False
        self._programmed = bytearray(len(memory) // unit_bytes) if write_once else None  # a mark for each unit
        self._weak = {}
        self._marginal = {}
        self._marginal_first, self._marginal_last = len(memory), -1  # where they lie, seen since the part was made
        self._powered = True
        self._cut_in = -1
        self._cut_after_bytes = -1
        self._cut_scattered = False
        # Neighbouring seeds must not give neighbouring numbers, and xorshift never leaves 0.
        self._random = (seed * 2654435761 ^ 0x9E3779B9) & 0xFFFFFFFF or 1

    @property
    def operations(self):
        """Programs and erases begun so far."""
        return self.programs + self.erases

    @property
    def has_weak_sectors(self):
        """Whether a cut left bits that read now as 0 and now as 1: what is read may differ from `memory`."""
        return bool(self._weak or self._marginal)

    @property
    def weak_span(self):
        """The first byte that may not read as `memory` says, and the first after the last of them; (0, 0): none."""
        starts = [sector * self.sector_bytes for sector in self._weak]
        ends = [start + self.sector_bytes for start in starts]
        if self._marginal:
            starts.append(min(self._marginal))
            ends.append(max(self._marginal) + 1)
        return (min(starts), max(ends)) if starts else (0, 0)

    @property
    def max_sector_erases(self):
        """Erases of the sector that has seen most of them."""
        return max(self.sector_erases)

    def cut_at(self, operation, after_bytes=-1, scattered=False):
        """Cut the power inside the `operation`-th program or erase from now, counted from 0.

        after_bytes: for a program, bytes that are whole before the cut (its length: all of it, but the call
        never returns); -1 draws it from the seed. scattered: instead, each bit of the program is cleared,
        left alone or left marginal, to read as it likes until the sector is erased, as the seed says.
        """
        if operation < 0:
            raise ValueError("operation %d: count from 0" % operation)
        self._cut_in = operation
        self._cut_after_bytes = after_bytes
        self._cut_scattered = scattered

    def cut_off(self):
        """Take the power away between two operations; whatever is asked now raises PowerCut."""
        self._powered = False

    def power_up(self):
        """Give the power back; the memory is as the cut left it."""
        self._powered = True
        self._cut_in = -1

    def read(self, offset, buffer):
        """Fill `buffer` from `offset`. Weak bits may read otherwise each time."""
        self._check_power()
        end = offset + len(buffer)
        self._check_span(offset, end - offset)
        self.reads += 1
        buffer[:] = self.memory[offset:end]
        for sector in self._weak:
            self._flip_weak_bits(sector, offset, buffer)
        if offset <= self._marginal_last and end > self._marginal_first:
            for index, bits in self._marginal.items():
                if offset <= index < end:
                    buffer[index - offset] ^= bits & self._next_random()

    def program(self, offset, data):
        """Clear bits inside one page; ValueError for what a driver must never send."""
        self._check_power()
        length = len(data)
        self._check_span(offset, length)
        if offset % self.page_bytes + length > self.page_bytes:
            raise ValueError("program of %d bytes at %d crosses a page" % (length, offset))
        if offset % self.unit_bytes or length % self.unit_bytes:
            raise ValueError("program of %d bytes at %d: units of %d" % (length, offset, self.unit_bytes))
        self._write_once(offset, length)
        self.programs += 1
        whole = self._bytes_before_cut(length)
        if whole < 0:
            self._clear_bits(offset, data)
            self.bytes_programmed += length
        else:
            self._clear_some_bits(offset, data, whole)
            self._cut()

    def erase(self, sector):
        """Set every bit of a sector."""
        self._check_power()
        if not 0 <= sector < self.sector_count:
            raise ValueError("sector %d of %d" % (sector, self.sector_count))
        self.erases += 1
        self.sector_erases[sector] += 1
        if self._bytes_before_cut(1) >= 0:
            self._erase_partly(sector)
            self._cut()
        start = sector * self.sector_bytes
        self.memory[start : start + self.sector_bytes] = b"\xff" * self.sector_bytes
        self._settle(sector)
        if self._programmed is not None:
            units = self.sector_bytes // self.unit_bytes
            self._programmed[sector * units : (sector + 1) * units] = bytes(units)

    def sync(self):
        """Nothing to do: a program or an erase that returned is done."""
        self._check_power()

    def _clear_bits(self, offset, data):
        length = len(data)
        old = int.from_bytes(self.memory[offset : offset + length], "little")
        wanted = int.from_bytes(data, "little")
        result = old & wanted
        if result != wanted:
            self._judge_violations(offset, data)
        self.memory[offset : offset + length] = result.to_bytes(length, "little")

    def _judge_violations(self, offset, data):
        """Count bytes that ask a 0 to become 1. 0xFF is no request: it is how a part of a page is left alone."""
        for index in range(len(data)):
            old, wanted = self.memory[offset + index], data[index]
            if wanted & ~old & 0xFF and wanted != _ERASED:
                self.violations += 1
                if self.strict:
                    raise ValueError(
                        "byte %d: 0x%02x cannot become 0x%02x without an erase" % (offset + index, old, wanted)
                    )

    def _clear_some_bits(self, offset, data, whole):
        """Any subset of the bits may be cleared in what was under way."""
        if self._cut_scattered:
            for index in range(len(data)):
                wanted = ~data[index] & self.memory[offset + index] & 0xFF
                self.memory[offset + index] &= data[index] | self._next_random() & 0xFF
                marginal = wanted & self._next_random() & self._next_random()
                if marginal:
                    self._note_marginal(offset + index, marginal)
            return
        self._clear_bits(offset, data[:whole])
        if whole < len(data):
            self.memory[offset + whole] &= data[whole] | self._next_random() & 0xFF

    def _note_marginal(self, index, bits):
        self._marginal[index] = bits
        self._marginal_first = min(self._marginal_first, index)
        self._marginal_last = max(self._marginal_last, index)

    def _settle(self, sector):
        """Every bit of the sector reads as `memory` says."""
        self._weak.pop(sector, None)
        if self._marginal:
            start = sector * self.sector_bytes
            for index in [index for index in self._marginal if start <= index < start + self.sector_bytes]:
                del self._marginal[index]

    def _write_once(self, offset, length):
        if self._programmed is None:
            return
        first, end = offset // self.unit_bytes, (offset + length) // self.unit_bytes
        if any(self._programmed[first:end]):
            raise ValueError("one of the units %d to %d was already written since its erase" % (first, end - 1))
        self._programmed[first:end] = b"\x01" * (end - first)

    def _erase_partly(self, sector):
        """Leave one of the pictures that interrupted erases are known for."""
        start = sector * self.sector_bytes
        picture = self._next_random() % 4
        if picture == 0:
            return  # nothing happened yet
        end = start + self.sector_bytes
        if picture == 1:
            # Reads as erased, but its bits have not settled.
            self.memory[start:end] = b"\xff" * self.sector_bytes
            self._weaken(sector)
        elif picture == 2:
            self._lift_some(start, end)
        else:
            self._drop_some(start, end)

    def _weaken(self, sector):
        self._weak[sector] = self._next_random()

    def _lift_some(self, start, end):
        """Some bits are on their way up."""
        for index in range(start, end):
            self.memory[index] |= self._next_random() & 0xFF

    def _drop_some(self, start, end):
        """Some parts program everything to 0 first."""
        for index in range(start, end):
            if self._next_random() & 1:
                self.memory[index] = 0

    def _flip_weak_bits(self, sector, offset, buffer):
        start = sector * self.sector_bytes
        first = max(offset, start)
        last = min(offset + len(buffer), start + self.sector_bytes)
        for index in range(first, last):
            # About one weak bit in 64 bytes, and it reads as 0 every other time.
            mark = (index * 2654435761 + self._weak[sector]) & 0xFFFFFFFF
            if mark % 64 == 0 and self._next_random() & 1:
                buffer[index - offset] &= ~(1 << (mark >> 8) % 8) & 0xFF

    def _bytes_before_cut(self, length):
        """Return -1 if this operation is not cut, else how many of its bytes are whole."""
        if self._cut_in < 0:
            return -1
        self._cut_in -= 1
        if self._cut_in >= 0:
            return -1
        if self._cut_after_bytes >= 0:
            return min(self._cut_after_bytes, length)
        return self._next_random() % (length + 1)

    def _cut(self):
        self._powered = False
        self.was_cut = True
        raise PowerCut("power cut in flash operation %d" % self.operations)

    def _check_power(self):
        if not self._powered:
            raise PowerCut("the power is off")

    def _check_span(self, offset, length):
        if offset < 0 or offset + length > len(self.memory):
            raise ValueError("bytes %d to %d of %d" % (offset, offset + length, len(self.memory)))

    def _next_random(self):
        # Marsaglia's xorshift32: the same numbers on both interpreters.
        x = self._random
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._random = x
        return x >> 7
