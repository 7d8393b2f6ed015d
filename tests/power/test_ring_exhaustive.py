"""The ring under a power cut at every byte of every program, scattered bits, every picture of an erase."""

import multiprocessing

from tests.power import cut_everywhere

UNITS = (4, 16, 32)
CUTS_MIN = 110_000


def test_no_cut_anywhere_costs_a_record(report):
    """Goal: after any cut, exactly the appended and not forgotten are read, byte for byte and in order.

    Method: one workload of three laps, with a reader that lags now and then so that the ring overflows too.
    Before each operation of the flash every way of cutting it is tried on a copy, recovered, and compared
    with what had been promised by then. Units of 4, 16 and 32 bytes, each written once between erases: plain
    flash, flash with ECC, and the original ESP32's encrypted flash. A process for each, two at a time.
    """
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        tallies = pool.map(cut_everywhere.run, UNITS, chunksize=1)
    for tally in tallies:
        report(
            f"ring, units of {tally.unit_bytes} bytes: {tally.cuts} cuts tried over {tally.laps:.1f} laps, up to "
            f"{tally.overflowed} records overwritten unread, {tally.retired} numbers too many retired at the worst"
        )
        assert tally.laps > 3 and tally.overflowed > 0
    cuts = sum(tally.cuts for tally in tallies)
    report(f"ring: {cuts} cuts tried in all")
    assert cuts > CUTS_MIN
