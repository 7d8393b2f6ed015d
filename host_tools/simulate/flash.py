"""The flash of a simulated device: the emulator's NOR part with more ways to fail.

An erase that is cut may have touched a part of the sector only, so that frames of its past life still stand
behind a header that is gone. Bits may rot at any time. A program may not take (a cell that sticks).
"""

import functools
import random

from host_tools.emulator.nor_flash import NorFlash, PowerCut

READS_PER_STEP_MAX = 200_000  # a core that reads more in one step runs in circles
_BYTES_PER_WEAK_BIT = 64
_CERTAIN = 0, 0
_EVERY_OTHER = bytes(0xFF if value & 1 else 0 for value in range(256))  # for bytes.translate


class Runaway(BaseException):
    """The core does not come back from a step."""


class SimulatedFlash(NorFlash):
    """A NorFlash that can be cut at the n-th erase, rot and stick."""

    def __init__(
        self, size_bytes: int, sector_bytes: int, unit_bytes: int, write_once: bool, seed: int, strict: bool
    ) -> None:
        super().__init__(
            size_bytes,
            sector_bytes=sector_bytes,
            unit_bytes=unit_bytes,
            write_once=write_once,
            seed=seed,
            strict=strict,
        )
        self._reads_max = READS_PER_STEP_MAX
        self._size = len(self.memory)
        self._view = memoryview(self.memory)
        self._draw = random.Random(f"flash {seed}")
        # The parent's own generator is one for two interpreters; this one is quick.
        setattr(self, "_next_random", functools.partial(self._draw.getrandbits, 25))  # noqa: B010
        self._erases_until_cut = -1
        self._is_late = False
        # By page what may read otherwise each time, by index: bits that may read as the other, and as 0.
        self._uncertain: dict[int, dict[int, tuple[int, int]]] = {}
        self._stuck: dict[int, int] = {}

    def cut_late_at(self, operation: int) -> None:
        """Cut the power in that operation; a program has done nearly all: a few of its bits read as they like."""
        self.cut_at(operation)
        self._is_late = True

    def cut_at_erase(self, erases: int) -> None:
        """Cut the power inside the erase that comes after so many others."""
        self._erases_until_cut = erases

    def begin_step(self) -> None:
        """What is read from now on belongs to a new step of the core."""
        self._reads_max = self.reads + READS_PER_STEP_MAX

    def power_up(self) -> None:
        self.cancel_cut()
        self.begin_step()
        super().power_up()

    def cancel_cut(self) -> None:
        """Nothing is planned any more."""
        self._erases_until_cut = -1
        self._cut_in = -1
        self._is_late = False

    def read(self, offset: int, buffer: memoryview) -> None:
        self.reads += 1
        if self.reads > self._reads_max:
            raise Runaway(f"{READS_PER_STEP_MAX} reads of flash in one step")
        if not self._powered:
            raise PowerCut("the power is off")
        end = offset + len(buffer)
        if offset < 0 or end > self._size:
            raise ValueError(f"bytes {offset} to {end} of {self._size}")
        buffer[:] = self._view[offset:end]
        if self._uncertain:
            page = offset // self.page_bytes
            if page in self._uncertain or end > (page + 1) * self.page_bytes:
                self._flip_uncertain_bits(offset, end, buffer)

    def _flip_uncertain_bits(self, offset: int, end: int, buffer: memoryview) -> None:
        for page in range(offset // self.page_bytes, (end - 1) // self.page_bytes + 1):
            for index, (either, weak) in self._uncertain.get(page, {}).items():
                if offset <= index < end:
                    chance = self._next_random()
                    buffer[index - offset] = (buffer[index - offset] ^ either & chance) & ~(weak & chance)

    def program(self, offset: int, data: memoryview) -> None:
        super().program(offset, data)
        if self._stuck:
            for index, bits in self._stuck.items():
                if offset <= index < offset + len(data):
                    self.memory[index] |= bits

    def erase(self, sector: int) -> None:
        if self._erases_until_cut >= 0:
            self._erases_until_cut -= 1
            if self._erases_until_cut < 0:
                self.cut_at(0)
        super().erase(sector)

    def erase_count(self, first_sector: int, last_sector: int) -> int:
        """Return how often the sectors from the first to before the last have been erased."""
        return sum(self.sector_erases[first_sector:last_sector])

    def rot(self, index: int, bit: int) -> None:
        """Flip one bit."""
        self.memory[index] ^= 1 << bit

    def stick(self, index: int, bit: int) -> None:
        """From now on that bit cannot be programmed to 0."""
        self._stuck[index] = self._stuck.get(index, 0) | 1 << bit

    def _clear_some_bits(self, offset: int, data: memoryview, whole: int) -> None:
        if not self._is_late:
            super()._clear_some_bits(offset, data, whole)
            return
        before = bytes(self.memory[offset : offset + len(data)])
        self._clear_bits(offset, data)
        for _ in range(1 + self._next_random() % 3):
            index = self._next_random() % len(data)
            cleared = before[index] & ~data[index] & 1 << self._next_random() % 8
            if cleared:
                self._note_marginal(offset + index, cleared)

    def _write_once(self, offset: int, length: int) -> None:
        """A unit whose program was cut before it had cleared a bit is blank: nobody can tell that it was tried."""
        if self._programmed is not None:
            first, end = offset // self.unit_bytes, (offset + length) // self.unit_bytes
            if any(self._programmed[first:end]):
                blank = b"\xff" * self.unit_bytes
                for unit in range(first, end):
                    if self.memory.startswith(blank, unit * self.unit_bytes):
                        self._programmed[unit] = 0
        super()._write_once(offset, length)

    def _note_marginal(self, index: int, bits: int) -> None:
        super()._note_marginal(index, bits)
        page = self._uncertain.setdefault(index // self.page_bytes, {})
        page[index] = bits, page.get(index, _CERTAIN)[1]

    def _weaken(self, sector: int) -> None:
        super()._weaken(sector)
        start = sector * self.sector_bytes
        for _ in range(self.sector_bytes // _BYTES_PER_WEAK_BIT):
            index = start + self._draw.randrange(self.sector_bytes)
            page = self._uncertain.setdefault(index // self.page_bytes, {})
            page[index] = page.get(index, _CERTAIN)[0], 1 << self._draw.randrange(8)

    def _settle(self, sector: int) -> None:
        self._weak.pop(sector, None)
        if self._uncertain:
            pages = self.sector_bytes // self.page_bytes
            for page in range(sector * pages, (sector + 1) * pages):
                for index in self._uncertain.pop(page, ()):
                    self._marginal.pop(index, None)

    def _erase_partly(self, sector: int) -> None:
        if self._next_random() % 2:
            super()._erase_partly(sector)
            return
        start = sector * self.sector_bytes
        end = start + 1 + self._next_random() % self.sector_bytes
        if self._next_random() % 2:
            self.memory[start:end] = b"\xff" * (end - start)
        else:
            self._lift_some(start, end)

    def _lift_some(self, start: int, end: int) -> None:
        lifted = int.from_bytes(self.memory[start:end], "little") | self._draw.getrandbits(8 * (end - start))
        self.memory[start:end] = lifted.to_bytes(end - start, "little")

    def _drop_some(self, start: int, end: int) -> None:
        kept = int.from_bytes(self._draw.randbytes(end - start).translate(_EVERY_OTHER), "little")
        left = int.from_bytes(self.memory[start:end], "little") & kept
        self.memory[start:end] = left.to_bytes(end - start, "little")
