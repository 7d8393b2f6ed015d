"""The newest record of a ring to which nothing is appended any more has rotted: the hub hears of it all the same.

Goal: a lane that is quiet for weeks (alarms, results) owes nobody an answer for so long. Method: bits are flipped on
the emulated part beneath a ring; the outbox must tell the loss, once, without another record behind it.
"""

import json

from fieldpost.ring.log import Ring
from fieldpost.uplink.ahead import LiveFirstLane
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from support import EventDialect, LinkWithRoom, NumbersBody

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024
FRAME_BYTES = 32  # with 20 bytes of payload


class Link(LinkWithRoom):
    def __init__(self):
        self.published = []

    def publish(self, topic, payload, packet_id, dup):
        self.published.append((json.loads(bytes(payload)), packet_id))
        return True

    def said(self):
        """Return ([numbers], lost) of each message since the last call."""
        said = [([record["n"] for record in body["records"]], body.get("lost")) for body, _ in self.published]
        self.published = []
        return said


class Flickering(NorFlash):
    """Reads wrongly at `weak_byte`, so many times."""

    weak_byte, times = -1, 0

    def read(self, offset, buffer):
        NorFlash.read(self, offset, buffer)
        if self.times and offset <= self.weak_byte < offset + len(buffer):
            self.times -= 1
            buffer[self.weak_byte - offset] ^= 8


def ring_with(records, sync=True):
    ring = Ring(Flickering(4 * SECTOR_BYTES, sector_bytes=SECTOR_BYTES))
    for _ in range(records):
        ring.append(1, bytes(20), sync)
    return ring


def place_of_newest(ring):
    """Return where the payload of the record that was appended last stands."""
    return ring._page_start() + ring._offset - FRAME_BYTES + 6


def rot(ring, place):
    ring.region.memory[place] ^= 4


def lanes_of(ring):
    yield Lane(ring, NumbersBody(ring), 4, 5, 600, 500)
    for newest_first in (False, True):
        yield LiveFirstLane(ring, NumbersBody(ring), 4, 5, 600, 500, newest_first)


def settle(outbox, link):
    """Let time pass and everything be acknowledged; return what was said."""
    said = []
    for now_ms in range(0, 6000, 250):
        outbox.step(now_ms, link)
        packet_ids = [packet_id for _, packet_id in link.published]
        said += link.said()
        for packet_id in packet_ids:
            outbox.acknowledged(packet_id)
        outbox.forget(now_ms)
    return said


def test_a_rotten_newest_record_is_told_lost_without_another_behind_it():
    for records in (1, 2, 3, 5, 6, 40):
        for kind in range(3):
            ring = ring_with(records)
            rot(ring, place_of_newest(ring))
            outbox, link = Outbox([list(lanes_of(ring))[kind]], EventDialect()), Link()
            said = settle(outbox, link)
            delivered = sorted([n for numbers, _ in said for n in numbers])
            assert delivered == list(range(1, records)), (records, kind)
            assert [lost for _, lost in said if lost] == [[[records, records]]], (records, kind)
            assert ring.pending == 0 and ring.lost == 1
            assert ring.append(1, bytes(20)) == records + 1
            assert settle(outbox, link) == [([records + 1], None)]
            after = Ring(ring.region)
            assert (after.cursor, after.next_number, after.lost) == (records + 1, records + 2, 1)


def test_after_a_restart_the_next_record_tells():
    """Nobody can say any more whether it was cut: its number might be given again before the hub's answer is stored."""
    for records in (1, 4, 9):
        ring = ring_with(records)
        rot(ring, place_of_newest(ring))
        ring = Ring(ring.region)
        assert (ring.newest_whole, ring.next_number) == (records - 1, records + 1)
        outbox, link = Outbox([next(lanes_of(ring))], EventDialect()), Link()
        assert [lost for _, lost in settle(outbox, link) if lost] == []
        ring.append(1, bytes(20))
        assert settle(outbox, link) == [([records + 1], [[records, records]])]
        assert ring.pending == 0


def test_a_number_whose_append_was_refused_is_told_by_the_next_record():
    ring = ring_with(2)
    ring.region.cut_at(0, 5)
    try:
        ring.append(1, bytes(20))
        raise AssertionError
    except PowerCut:
        ring.region.power_up()
    outbox, link = Outbox([next(lanes_of(ring))], EventDialect()), Link()
    ring.sync()
    assert settle(outbox, link) == [([1, 2], None)]
    ring.append(1, bytes(20))
    assert settle(outbox, link) == [([4], [[3, 3]])]


def test_several_rotten_ones_are_one_range():
    ring = ring_with(6)
    for back in range(3):
        rot(ring, place_of_newest(ring) - back * FRAME_BYTES)
    assert settle(Outbox([next(lanes_of(ring))], EventDialect()), Link()) == [([1, 2, 3], [[4, 6]])]


def test_what_is_not_durable_yet_is_not_told_lost():
    ring = ring_with(2)
    ring.append(1, bytes(20), False)
    rot(ring, place_of_newest(ring))
    outbox, link = Outbox([next(lanes_of(ring))], EventDialect()), Link()
    assert settle(outbox, link) == [([1, 2], None)]
    ring.sync()
    assert settle(outbox, link) == [([], [[3, 3]])]


def test_a_bit_that_is_read_wrongly_once_costs_nothing():
    ring = ring_with(3)
    ring.region.weak_byte, ring.region.times = place_of_newest(ring), 1
    assert settle(Outbox([next(lanes_of(ring))], EventDialect()), Link()) == [([1, 2, 3], None)]
    assert not ring.region.times


def test_a_message_of_a_loss_alone_comes_again_under_its_name():
    ring = ring_with(1)
    rot(ring, place_of_newest(ring))
    outbox, link = Outbox([next(lanes_of(ring))], EventDialect()), Link()
    outbox.step(0, link)
    outbox.step(500, link)
    first, link.published = link.published, []
    outbox.disconnected(0, False)
    outbox.step(1000, link)
    assert link.published == first and first[0][0]["lost"] == [[1, 1]]
