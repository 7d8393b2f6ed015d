"""From stored messages to a finding, in numbers and in words."""

import json
from types import SimpleNamespace

from host_tools.audit import Inquiry, RingTail, as_json, judge, proof


def message(ring, numbers, device="kitchen", lost=(), **other):
    records = [{"n": number} for number in numbers]
    body = {"q": ring, "records": records, "lost": [list(pair) for pair in lost]}
    content = {"properties": {"fp": "1"}, "body": json.dumps(body).encode(), **other}
    return SimpleNamespace(device_id=device, **content)


def test_each_ring_of_a_device_has_its_own_account():
    finding = judge("kitchen", [message("aaaa0001", [1, 2]), message("aaaa0002", [1]), message("x", [9], "attic")])
    assert [(account.ring, account.delivered_unique) for account in finding.accounts] == [
        ("aaaa0001", 2),
        ("aaaa0002", 1),
    ]
    assert finding.is_whole
    assert finding.messages == 2


def test_messages_of_other_programs_are_counted_and_left_alone():
    finding = judge("kitchen", [message("a", [1]), message("a", [5], properties={})])
    assert (finding.foreign, finding.is_whole) == (1, True)


def test_an_unreadable_message_spoils_the_proof():
    finding = judge("kitchen", [message("a", [1], body=b"{")])
    assert (finding.unreadable, finding.is_whole) == (1, False)
    assert "could not be read" in proof(finding)


def test_a_board_of_which_nothing_arrived_is_not_whole():
    finding = judge("kitchen", [], [RingTail("a", 4)])
    assert finding.total("missing") == 3
    assert "1 to 3" in proof(finding)


def test_the_proof_spells_out_what_is_missing():
    text = proof(judge("kitchen", [message("a", [1, 4, 6])], [RingTail("a", 7)]))
    assert "numbers 1 to 6 were given out (the flash says so)" in text
    assert "3 missing: 2 to 3, 5" in text
    assert text.endswith("kitchen: NOT whole, 3 missing.")


def test_the_proof_of_a_whole_ring_ends_with_the_good_news():
    text = proof(judge("kitchen", [message("a", [1, 2], lost=[(3, 4)]), message("a", [2])], [RingTail("a", 5)]))
    assert "2 delivered (0 of them events, 1 repeat on top)" in text
    assert "2 reported as lost" in text
    assert text.endswith("kitchen: nothing is missing.")


def test_an_inquiry_may_be_closed_again_and_again_and_says_what_it_holds():
    inquiry = Inquiry("kitchen")
    inquiry.hear(message("a", [1, 2]))
    inquiry.hear(message("a", [5]))
    assert inquiry.close().total("missing") == 2
    size = inquiry.size
    inquiry.hear(message("a", [3, 4]))
    said = [message("a", [1, 2]), message("a", [5]), message("a", [3, 4])]
    assert inquiry.close() == judge("kitchen", said) and inquiry.close().is_whole
    assert inquiry.size < size, "memory follows the separate ranges"
    inquiry.hear(message("b", [1]))
    assert inquiry.close().total("delivered_unique") == 6


def test_an_empty_store_and_an_empty_flash_say_so():
    assert "nothing of this device" in proof(judge("kitchen", []))


def test_the_json_form_can_be_written():
    found = as_json(judge("kitchen", [message("a", [1, 4])]))
    assert json.loads(json.dumps(found))["missing"] == 2
    assert found["rings"][0]["missing_ranges"] == ((2, 3),)
