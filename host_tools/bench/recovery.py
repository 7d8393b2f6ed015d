"""What opening a ring reads, on regions of several sizes that are full and have been overwritten once in part."""

from dataclasses import dataclass

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring.log import Ring

from host_tools.bench import RecordsDiffer, Report
from host_tools.bench.flash_part import SECTOR_BYTES, MeteredFlash

SIZES = (16, 64, 256, 1024, 4096)  # sectors: 64 KiB to 16 MiB
QUICK_SIZES = (16, 64, 256)


@dataclass(frozen=True)
class Recovery:
    """Reads, and their bytes, that it took to open a full ring of `sectors` sectors."""

    sectors: int
    reads: int
    bytes_read: int

    @property
    def kib(self) -> int:
        """The size of the region in KiB."""
        return self.sectors * SECTOR_BYTES // 1024


def measure(sizes: tuple[int, ...], report: Report) -> list[Recovery]:
    """Fill a ring of each size one and a half times with the largest records, and open it again."""
    found = []
    for done, sectors in enumerate(sizes):
        report("recovery", done / len(sizes))
        flash = MeteredFlash(sectors, unit_bytes=4)
        ring = Ring(flash)
        while ring.newest < sectors * 3 // 2:
            ring.append(1, bytes(RECORD_BYTES_MAX))
        reads, bytes_read, operations = flash.reads, flash.bytes_read, flash.operations
        again = Ring(flash)
        found.append(Recovery(sectors, flash.reads - reads, flash.bytes_read - bytes_read))
        if (again.next_number, again.pending) != (ring.next_number, ring.pending) or flash.operations != operations:
            raise RecordsDiffer(f"a ring of {sectors} sectors is not the same after it was opened again")
    report("recovery", 1)
    return found
