"""The journal knows after a restart what it knew before, newest ids first."""

from commands.world import ListRing
from fieldpost.commands.journal import ACTED, BEGUN, DONE, NEW, Journal, digest
from fieldpost.limits import JOURNAL_ENTRIES_MAX, JOURNAL_SECTORS_MIN
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash


def test_notes_survive_a_restart():
    ring = ListRing([])
    journal = Journal(ring)
    for command_id in ("b", "a", "d"):
        journal.begun(digest(command_id))
    journal.acted(digest("a"), "failed")
    journal.done(digest("d"), "interrupted")
    for reader in (journal, Journal(ring)):
        assert reader.state(digest("never")) == NEW
        assert reader.state(digest("b")) == BEGUN
        assert reader.state(digest("a")) == ACTED and reader.status(digest("a")) == "failed"
        assert reader.state(digest("d")) == DONE and reader.status(digest("d")) == "interrupted"


def test_opening_writes_nothing():
    ring = ListRing([])
    Journal(ring).begun(digest("a"))
    before = list(ring.records)
    Journal(ring)
    assert ring.records == before


def test_foreign_notes_are_passed_over():
    records = [(9, b"123456789"), (DONE, b"short"), (DONE, b"12345678\xff"), (BEGUN, digest("a") + b"\x00")]
    assert Journal(ListRing(records)).state(digest("a")) == BEGUN


def test_a_full_table_forgets_the_oldest_id():
    ring = ListRing([])
    journal = Journal(ring)
    for index in range(JOURNAL_ENTRIES_MAX + 1):
        journal.begun(digest("id%d" % index))
        journal.done(digest("id%d" % index), "done")
    for reader in (journal, Journal(ring)):
        assert reader.state(digest("id0")) == NEW
        for index in range(1, JOURNAL_ENTRIES_MAX + 1):
            assert reader.state(digest("id%d" % index)) == DONE, index


def test_the_smallest_journal_on_flash_keeps_more_ids_than_the_hub_can_hold_back():
    """Goal: however often the ring went round, the newest ids are known after a restart.

    Method: three notes for each of 600 ids, which is several rounds; look after every 50.
    """
    flash = NorFlash(JOURNAL_SECTORS_MIN * 4096)
    journal = Journal(Ring(flash))
    for index in range(600):
        key = digest("id%d" % index)
        journal.begun(key)
        journal.acted(key, "done")
        journal.done(key, "done")
        if index % 50 == 49:
            again = Journal(Ring(flash))
            for known in range(max(0, index - 99), index + 1):
                assert again.state(digest("id%d" % known)) == DONE, (index, known)
    assert flash.erases > JOURNAL_SECTORS_MIN, "the ring never went round"
