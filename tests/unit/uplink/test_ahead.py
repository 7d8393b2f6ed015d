"""Live records before the backlog: nothing is lost, the ring forgets only what is confirmed, live ones do not wait."""

from fieldpost.limits import FORGET_INTERVAL_MS
from fieldpost.ring.log import Ring
from fieldpost.uplink.ahead import AheadWindow, LiveFirstLane
from fieldpost.uplink.outbox import Outbox
from support import EventDialect, NumbersBody, PublishLink, numbers, ring_of

AGE_MS = 500


class Chance:
    """Marsaglia's xorshift32: the same numbers on both interpreters."""

    def __init__(self, seed):
        self._state = seed * 2654435761 & 0xFFFFFFFF or 1

    def below(self, limit):
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return (x >> 7) % limit


def outbox_of(ring, newest_first=False, window=4, records_max=5):
    lane = LiveFirstLane(ring, NumbersBody(ring), window, records_max, 600, AGE_MS, newest_first)
    return Outbox([lane], EventDialect())


def drained(outbox, link, now_ms, turns):
    """Step and acknowledge; return the numbers in the order in which they left."""
    found = []
    for _ in range(turns):
        outbox.step(now_ms, link)
        for message in link.take():
            found += numbers(message)
            outbox.acknowledged(message[2])
        outbox.forget(now_ms)
        now_ms += FORGET_INTERVAL_MS
    return found


def test_a_live_record_leaves_at_its_age_before_a_backlog_that_goes_on_in_order():
    ring = ring_of(100, 16)
    outbox, link = outbox_of(ring, window=2), PublishLink()
    outbox.step(0, link)
    sent = link.take()
    assert [numbers(message) for message in sent] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    ring.append(1, b"live")
    outbox.step(1, link)
    for message in sent:
        outbox.acknowledged(message[2])
    outbox.step(1, link)
    assert [numbers(message)[0] for message in link.take()] == [11, 16], "it may wait for company"
    outbox.acknowledged(3)
    outbox.step(AGE_MS, link)
    assert [numbers(message) for message in link.take()] == [[21, 22, 23, 24, 25]]
    outbox.acknowledged(4)
    outbox.step(1 + AGE_MS, link)
    assert [numbers(message) for message in link.take()] == [[101]]


def test_a_backlog_drains_however_often_live_records_come():
    for newest_first in (False, True):
        ring = ring_of(30, 16)
        lane = LiveFirstLane(ring, NumbersBody(ring), 1, 5, 600, 0, newest_first)
        outbox, link, found, now_ms = Outbox([lane], EventDialect()), PublishLink(), [], 0
        outbox.step(now_ms, link)
        while not set(range(1, 31)) <= set(found):
            assert len(found) < 60, found
            ring.append(1, b"live")  # one at least waits whenever the link is free
            found += [n for message in link.published for n in numbers(message)]
            for message in link.take():
                outbox.acknowledged(message[2])
            now_ms += 100
            outbox.step(now_ms, link)
        assert found[5] == 31 and found[6:11] != [32] * 5, "live ones have not waited for it"


def test_the_newest_chunk_leaves_first_and_in_order_within():
    from fieldpost.uplink import ahead

    was, ahead.CHUNK_RECORDS = ahead.CHUNK_RECORDS, 12
    try:
        ring = ring_of(30, 16)
        found = drained(outbox_of(ring, True), PublishLink(), 0, 10)
    finally:
        ahead.CHUNK_RECORDS = was
    assert found == list(range(19, 31)) + list(range(7, 19)) + list(range(1, 7))
    assert ring.pending == 0


def test_the_ring_forgets_in_order_what_is_confirmed_out_of_order():
    window = AheadWindow(8, 100)
    for packet_id, first, last, lost in ((1, 150, 159, 2), (2, 101, 110, 0), (3, 160, 169, 0), (4, 111, 149, 3)):
        window.sent(packet_id, first, last, lost, 0)
    for packet_id, through, reported in ((1, 0, 0), (2, 110, 0), (3, 110, 0), (4, 169, 5)):
        window.acknowledged(packet_id)
        assert (window.forget_through, window.forget_lost) == (through, reported), packet_id
    assert window._ahead == []


def test_after_a_power_cut_what_was_confirmed_ahead_leaves_again_under_its_numbers():
    ring = ring_of(50, 16)
    outbox, link = outbox_of(ring), PublishLink()
    for _ in range(3):
        ring.append(1, b"live")
    outbox.step(0, link)
    for message in link.take():
        outbox.acknowledged(message[2])
    again = Ring(ring.region)
    found = drained(outbox_of(again), PublishLink(), 0, 40)
    assert sorted(found) == list(range(again.cursor - len(found) + 1, 54)) and again.pending == 0


def test_storms_lose_nothing_and_what_the_ring_forgot_was_confirmed():
    """Goal: at least once with batches out of order. Method: random appends, refusals, late and lost PUBACKs, broken
    connections, overflows and power cuts; then calm. Each number is delivered or reported lost by then, and was so
    before the ring forgot it."""
    for seed in range(1, 25):
        below = Chance(seed).below
        ring = ring_of(below(200), 4 + below(6))
        window, newest_first = 1 + below(6), seed % 2 == 0
        outbox, link = outbox_of(ring, newest_first, window), PublishLink()
        settled = set()
        unacknowledged = []
        now_ms = 0
        for turn in range(220):
            is_calm = turn >= 160
            now_ms += 100 + below(900)
            for _ in range(0 if is_calm else below(12)):
                ring.append(1, b"x" * (10 + below(20)))
            link.room = 1000 if is_calm else below(5)
            outbox.step(now_ms, link)
            for message in link.take():
                # Stored by the hub: what follows is what becomes of the acknowledgement.
                settled.update(numbers(message))
                for first, last in message[1].get("lost", ()):
                    settled.update(range(first, last + 1))
                unacknowledged.append(message[2])
            while unacknowledged and (is_calm or below(3)):
                outbox.acknowledged(unacknowledged.pop(below(len(unacknowledged))))
            outbox.forget(now_ms)
            assert settled.issuperset(range(1, ring.cursor + 1)), (seed, turn)
            if not is_calm and below(8) == 0:
                outbox.disconnected(now_ms, False)
                unacknowledged = []
            if not is_calm and below(30) == 0:
                ring = Ring(ring.region)
                outbox = outbox_of(ring, newest_first, window)
                unacknowledged = []
        assert settled.issuperset(range(1, ring.next_number)), seed
        assert ring.cursor == ring.next_number - 1, seed
