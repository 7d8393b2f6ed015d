"""How a device divides its region of flash.

| commands' journal | urgent records | readings ... |
"""

from fieldpost.ring.region import SubRegion


def divide(region, journal_sectors, urgent_sectors):
    """Return (journal, urgent, readings): regions of their own, the readings take what is left."""
    first = journal_sectors + urgent_sectors
    return (
        SubRegion(region, 0, journal_sectors),
        SubRegion(region, journal_sectors, urgent_sectors),
        SubRegion(region, first, region.sector_count - first),
    )
