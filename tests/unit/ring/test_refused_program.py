"""Flash that refuses: a program or an erase raises OSError, with a part of it done, and the next one works again.

Goal: the append that raised is the only one that may be missing; its number is nobody else's. Method: the emulated part
refuses its n-th operation, for every n of a workload with overflow, on plain parts and on parts that write units once.
"""

from fieldpost.ring.log import Ring
from support import records_of

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024
RECORDS = 70


class Refusing(NorFlash):
    """Refuses operation number `refused`, counted from 0, half done; the power stays on."""

    refused = -1

    def program(self, offset, data):
        self._try(lambda: NorFlash.program(self, offset, data), len(data) // 2)

    def erase(self, sector):
        self._try(lambda: NorFlash.erase(self, sector), 0)

    def _try(self, operate, done_bytes):
        if self.operations == self.refused:
            self.cut_at(0, done_bytes)
        try:
            operate()
        except PowerCut:
            self.power_up()
            raise OSError(5) from None


def live(flash):
    """Append, forget now and then, maintain; return ({number: payload} appended, numbers refused, the ring)."""
    ring = Ring(flash)
    appended, refused, next_number = {}, [], 1
    for index in range(RECORDS):
        payload = bytes([index]) * (10 + index % 30)
        try:
            number = ring.append(1, payload)
            assert number == next_number
            appended[number] = payload
        except OSError:
            refused.append(next_number)
        next_number += 1
        try:
            if index % 16 == 9:
                ring.forget(ring.next_number - 8)
            if index % 5 == 0:
                ring.maintain()
        except OSError:
            pass
    return appended, refused, ring


def test_only_the_append_that_was_refused_may_be_missing():
    for unit_bytes, write_once in ((1, False), (16, True)):
        counted = Refusing(4 * SECTOR_BYTES, SECTOR_BYTES, unit_bytes=unit_bytes, write_once=write_once)
        live(counted)
        for refused_operation in range(counted.operations):
            flash = Refusing(4 * SECTOR_BYTES, SECTOR_BYTES, unit_bytes=unit_bytes, write_once=write_once)
            flash.refused = refused_operation
            appended, refused, ring = live(flash)
            where = (unit_bytes, refused_operation)
            assert len(refused) <= 1, where
            for now in (ring, Ring(flash)):
                kept = [(number, appended[number]) for number in range(now.oldest, RECORDS + 1) if number in appended]
                assert records_of(now) == kept and len(kept) > 8, where
                assert now.next_number == RECORDS + 1, where
