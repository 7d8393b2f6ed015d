"""The outbox over a real ring: at least once, in order, the same batch under the same name."""

import json

from fieldpost.limits import FORGET_INTERVAL_MS, PACKET_ID_MAX, PUBACK_TIMEOUT_MS
from fieldpost.ring.log import Ring
from fieldpost.uplink.batch import Batch
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.window import Window
from support import EventDialect, NumbersBody, PublishLink, numbers, ring_of


def lane_of(ring, window=4, records_max=5, bytes_max=600, age_ms=500, body=None):
    return Lane(ring, body or NumbersBody(ring), window, records_max, bytes_max, age_ms)


def outbox_of(ring, **settings):
    return Outbox([lane_of(ring, **settings)], EventDialect())


def test_a_backlog_leaves_in_full_batches_up_to_the_window():
    ring = ring_of(33)
    outbox, link = outbox_of(ring), PublishLink()
    outbox.step(0, link)
    assert [numbers(m) for m in link.take()] == [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12, 13, 14, 15],
        [16, 17, 18, 19, 20],
    ]
    outbox.acknowledged(1)
    outbox.step(0, link)
    assert [numbers(m) for m in link.take()] == [[21, 22, 23, 24, 25]]


def test_a_live_record_waits_for_its_age_and_no_longer():
    ring = ring_of(2)
    outbox, link = outbox_of(ring), PublishLink()
    outbox.step(1000, link)
    outbox.step(1499, link)
    assert link.take() == []
    outbox.step(1500, link)
    assert [numbers(m) for m in link.take()] == [[1, 2]]
    ring.append(1, b"")
    outbox.step(1501, link)
    assert link.take() == []


def test_acknowledgements_in_any_order_forget_in_order():
    ring = ring_of(20)
    outbox, link = outbox_of(ring), PublishLink()
    outbox.step(0, link)
    ids = [m[2] for m in link.take()]
    for position, cursor in ((2, 0), (1, 0), (0, 15), (3, 20)):
        outbox.acknowledged(ids[position])
        outbox.forget(FORGET_INTERVAL_MS * (position + 9))
        assert ring.cursor == cursor, position
    assert outbox.acked_records == 20 and ring.pending == 0
    outbox.acknowledged(ids[0])
    assert outbox.acked_records == 20, "an acknowledgement counts once"


def test_the_ring_is_not_asked_to_forget_at_every_acknowledgement():
    ring = ring_of(40)
    outbox, link = outbox_of(ring, window=8), PublishLink()
    outbox.step(0, link)
    outbox.acknowledged(1)
    outbox.forget(10)
    assert ring.cursor == 0
    outbox.forget(FORGET_INTERVAL_MS)
    assert ring.cursor == 5


def test_after_a_reconnect_exactly_the_unacknowledged_leave_again_under_the_same_names():
    ring = ring_of(20)
    outbox, link = outbox_of(ring), PublishLink()
    outbox.step(0, link)
    sent = link.take()
    outbox.acknowledged(sent[1][2])
    outbox.disconnected(0, False)
    outbox.step(0, link)
    again = link.take()
    assert [(t, body, pid) for t, body, pid, _ in again] == [(t, b, p) for t, b, p, _ in (sent[0], sent[2], sent[3])]
    assert [m[3] for m in sent] == [False] * 4 and [m[3] for m in again] == [True] * 3
    assert outbox.duplicates_sent == 15
    for message in again:
        outbox.acknowledged(message[2])
    outbox.forget(0)
    assert ring.pending == 0


def test_a_link_without_room_loses_and_repeats_nothing():
    for room in range(7):
        ring = ring_of(30)
        outbox, link = outbox_of(ring, window=6), PublishLink()
        link.room = room
        outbox.step(0, link)
        link.room = 100
        outbox.step(0, link)
        found = [n for m in link.take() for n in numbers(m)]
        assert found == list(range(1, 31)), room


def test_a_full_link_in_the_middle_of_a_resend_goes_on_where_it_stopped():
    for room in range(5):
        ring = ring_of(20)
        outbox, link = outbox_of(ring), PublishLink()
        outbox.step(0, link)
        first = link.take()
        outbox.disconnected(0, False)
        link.room = room
        outbox.step(0, link)
        link.room = 100
        outbox.step(0, link)
        assert [m[:3] for m in link.take()] == [m[:3] for m in first], room


def test_what_has_not_left_on_this_connection_is_not_overdue():
    """Goal: after an outage longer than the deadline each batch gets the whole of it again.

    With the old times of batches that wait for room, every new connection would be closed at once, for ever.
    """
    ring = ring_of(20)
    outbox, link = outbox_of(ring), PublishLink()
    outbox.step(0, link)
    outbox.disconnected(0, False)
    now_ms = 30_000
    assert not outbox.overdue(now_ms, PUBACK_TIMEOUT_MS)
    for left in range(4):
        link.room = 1
        outbox.step(now_ms, link)
        assert not outbox.overdue(now_ms, PUBACK_TIMEOUT_MS), left
        now_ms += 1000
    assert outbox.overdue(30_001 + PUBACK_TIMEOUT_MS, PUBACK_TIMEOUT_MS)


def test_an_acknowledgement_before_its_batch_leaves_again_skips_no_other():
    """Goal: a late PUBACK for the batch that is packed and waits for room must not pass for the next one's."""
    ring = ring_of(20)
    outbox, link = outbox_of(ring), PublishLink()
    outbox.step(0, link)
    sent = link.take()
    outbox.disconnected(0, False)
    link.room = 0
    outbox.step(0, link)
    outbox.acknowledged(sent[0][2])
    link.room = 100
    outbox.step(0, link)
    assert [m[:3] for m in link.take()] == [m[:3] for m in sent[1:]]


def test_a_batch_that_no_longer_fits_in_one_message_leaves_as_several():
    ring = ring_of(20)
    body = NumbersBody(ring)
    outbox, link = outbox_of(ring, bytes_max=130, body=body), PublishLink()
    outbox.step(0, link)
    assert len(link.take()) == 4
    outbox.disconnected(0, False)
    body.form = '{"n":%d,"t":1795447452123}'
    now_ms = 0
    found = []
    while len(found) < 20:
        now_ms += 500
        outbox.step(now_ms, link)
        for message in link.take():
            found += numbers(message)
            outbox.acknowledged(message[2])
    outbox.forget(now_ms)
    assert found == list(range(1, 21)) and ring.pending == 0


def test_overwritten_records_are_reported_lost_exactly():
    ring = ring_of(0)
    outbox, link = outbox_of(ring, window=60), PublishLink()
    for _ in range(300):
        ring.append(1, b"x" * 20)
    outbox.step(0, link)
    outbox.step(500, link)
    messages = link.take()
    assert messages[0][1]["lost"] == [[1, ring.oldest - 1]]
    assert all("lost" not in m[1] for m in messages[1:])
    found = [n for m in messages for n in numbers(m)]
    assert found == list(range(ring.oldest, 301))
    oldest = ring.oldest
    for message in messages:
        outbox.acknowledged(message[2])
    outbox.forget(0)
    assert ring.lost == oldest - 1
    assert Ring(ring.region).lost == oldest - 1


def test_records_overwritten_in_flight_are_reported_when_they_are_sent_again():
    ring = ring_of(10)
    outbox, link = outbox_of(ring, window=2), PublishLink()
    outbox.step(0, link)
    names = [m[0] for m in link.take()]
    while ring.oldest <= 10:
        ring.append(1, b"x" * 20)
    outbox.disconnected(0, False)
    outbox.step(0, link)
    again = link.take()
    assert [m[1]["lost"] for m in again] == [[[1, 5]], [[6, 10]]]
    assert [m[3] for m in again] == [False, False], "another content is no duplicate"
    assert not set(names) & {m[0] for m in again}


def test_a_record_that_cannot_be_rendered_yet_is_not_overtaken():
    ring = ring_of(10)
    body = NumbersBody(ring)
    body.settled_through = 3
    outbox, link = outbox_of(ring, body=body), PublishLink()
    outbox.step(0, link)
    assert link.take() == []
    body.settled_through = 10
    outbox.step(0, link)
    assert [n for m in link.take() for n in numbers(m)] == list(range(1, 11))


def test_a_batch_respects_its_bytes():
    ring = ring_of(30)
    outbox, link = outbox_of(ring, window=30, records_max=30, bytes_max=150), PublishLink()
    outbox.step(0, link)
    messages = link.take()
    assert len(messages) > 3
    assert [n for m in messages for n in numbers(m)] == list(range(1, 31))


def test_packet_ids_wrap_past_65535_and_skip_what_is_in_flight():
    rings = ring_of(1), ring_of(1)
    outbox, link = Outbox([lane_of(ring, age_ms=0) for ring in rings], EventDialect()), PublishLink()
    outbox.step(0, link)
    assert [m[2] for m in link.take()] == [1, 2]
    expected = 3
    for _ in range(PACKET_ID_MAX + 10):
        assert outbox.new_packet_id() == expected
        expected = 3 if expected == PACKET_ID_MAX else expected + 1


def test_urgent_records_leave_before_the_backlog():
    urgent, backlog = ring_of(0), ring_of(100)
    outbox, link = Outbox([lane_of(urgent, age_ms=0), lane_of(backlog, window=50)], EventDialect()), PublishLink()
    link.room = 2
    outbox.step(0, link)
    assert [numbers(m) for m in link.take()] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    urgent.append(1, b"alarm")
    outbox.step(1, link)
    assert link.take() == []
    link.room = 2
    outbox.step(2, link)
    first, second = link.take()
    assert (first[1]["q"], numbers(first)) == ("%08x" % urgent.ring_id, [1])
    assert (second[1]["q"], numbers(second)) == ("%08x" % backlog.ring_id, [11, 12, 13, 14, 15])
    assert first[2] != second[2]


def test_an_urgent_record_finds_room_however_full_the_backlogs_window_is():
    urgent, backlog = ring_of(0), ring_of(100)
    outbox, link = Outbox([lane_of(urgent, age_ms=0), lane_of(backlog, window=2)], EventDialect()), PublishLink()
    outbox.step(0, link)
    assert len(link.take()) == 2
    urgent.append(1, b"alarm")
    outbox.step(1, link)
    assert [m[1]["q"] for m in link.take()] == ["%08x" % urgent.ring_id]


def test_unacknowledged_urgent_records_do_not_hold_up_the_backlog():
    urgent, backlog = ring_of(100), ring_of(10)
    outbox, link = Outbox([lane_of(urgent, window=2, age_ms=0), lane_of(backlog)], EventDialect()), PublishLink()
    outbox.step(0, link)
    assert [m[1]["q"] == "%08x" % urgent.ring_id for m in link.take()] == [True, True, False, False]


def test_each_lane_is_acknowledged_and_sent_again_on_its_own():
    urgent, backlog = ring_of(3), ring_of(10)
    outbox, link = Outbox([lane_of(urgent, age_ms=0), lane_of(backlog)], EventDialect()), PublishLink()
    outbox.step(0, link)
    sent = link.take()
    outbox.acknowledged(sent[1][2])
    outbox.forget(0)
    assert (urgent.cursor, backlog.cursor) == (0, 0), "the backlog still has a batch in flight"
    outbox.forget(FORGET_INTERVAL_MS)
    assert (urgent.cursor, backlog.cursor) == (0, 5)
    outbox.disconnected(0, False)
    assert not outbox.overdue(PUBACK_TIMEOUT_MS + 1, PUBACK_TIMEOUT_MS)
    outbox.step(5, link)
    assert [(m[0], m[2], m[3]) for m in link.take()] == [(sent[i][0], sent[i][2], True) for i in (0, 2)]
    assert outbox.overdue(PUBACK_TIMEOUT_MS + 6, PUBACK_TIMEOUT_MS)
    for message in sent:
        outbox.acknowledged(message[2])
    outbox.forget(2 * FORGET_INTERVAL_MS)
    assert urgent.pending == backlog.pending == 0
    assert (outbox.sent_records, outbox.acked_records, outbox.duplicates_sent) == (13, 13, 8)


def test_nothing_overtakes_an_urgent_record_whose_clock_is_looked_for():
    urgent, backlog = ring_of(1), ring_of(10)
    body = NumbersBody(urgent)
    body.settled_through = 0
    outbox, link = Outbox([lane_of(urgent, age_ms=0, body=body), lane_of(backlog)], EventDialect()), PublishLink()
    outbox.step(0, link)
    assert link.take() == []
    body.settled_through = None
    outbox.step(0, link)
    assert len(link.take()) == 3


def test_the_age_of_the_oldest_unacknowledged_batch_is_known():
    window = Window(4)
    assert window.waiting_since_ms(window.count) is None
    for packet_id, sent_ms in ((1, 10), (2, 20), (3, 30)):
        window.sent(packet_id, packet_id, packet_id, 0, sent_ms)
    window.acknowledged(1)
    assert window.waiting_since_ms(window.count) == 20
    window.acknowledged(3)
    assert window.waiting_since_ms(window.count) == 20
    window.acknowledged(2)
    assert window.waiting_since_ms(window.count) is None and window.forget_through == 3


def test_a_batch_names_its_content():
    ring = ring_of(0)
    ring.ring_id = 0xABC
    batch = Batch(NumbersBody(ring), 10, 600)
    batch.begin(5, memoryview(bytearray(600)))
    assert batch.add(5, 1, b"") and batch.add(9, 1, b"")
    assert batch.message_id(0xABC) == "00000abc-5-9-3"
    assert json.loads(bytes(batch.body())) == {"q": "00000abc", "records": [{"n": 5}, {"n": 9}], "lost": [[6, 8]]}
