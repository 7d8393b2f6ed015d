"""An answer is bounded, valid JSON whatever was asked for."""

import json

from fieldpost.commands.answer import encode, escaped
from fieldpost.commands.journal import STATUSES
from fieldpost.limits import RESULT_TEXT_BYTES_MAX

LETTERS = ("a", '"', "\\", "\n", "\x7f", "\u00e9", "\u4e2d", "\U0001f600")


def test_an_answer_reads_back_as_what_it_says():
    text = encode("7f3c", "done", "gpio.set", (("pin", "relay"), ("value", 1), ("held", True)), "twin", "42")
    assert text == (
        b'{"id":"7f3c","status":"done","via":"twin","cid":"42","command":"gpio.set",'
        b'"result":{"pin":"relay","value":1,"held":true}}'
    )


def test_a_correlation_id_is_whole_or_absent_and_never_costs_the_id():
    for length in range(0, 200, 7):
        for correlation in ("c" * length, "\u00e9" * length):
            text = encode("i" * 128, "interrupted", "gpio.pulse", (("reason", "r" * 200),), "message", correlation)
            assert len(text) <= RESULT_TEXT_BYTES_MAX
            answer = json.loads(str(text, "utf-8"))
            assert answer["id"] == "i" * 128 and answer.get("cid", correlation) == correlation
    both = json.loads(str(encode("i" * 36, "done", "gpio.set", (), "message", "c" * 36), "utf-8"))
    assert both["cid"] == "c" * 36 and both["command"] == "gpio.set"


def test_every_length_of_every_kind_of_text_stays_valid_and_bounded():
    fullest = 0
    for letter in LETTERS:
        for length in range(0, 201, 3):
            for status in STATUSES:
                for name in ("", "gpio.pulse", letter * length):
                    text = encode(letter * length, status, name, (("reason", letter * length),))
                    fullest = max(fullest, len(text))
                    assert len(text) <= RESULT_TEXT_BYTES_MAX, (letter, length)
                    answer = json.loads(str(text, "utf-8"))
                    assert answer["status"] == status, (letter, length)
    assert fullest == RESULT_TEXT_BYTES_MAX, "no text ever reached the bound"


def test_the_longest_id_of_iot_hub_is_never_cut():
    message_id = "a-:.+%_#*?!(),=@;$'" * 7
    message_id = message_id[:128]
    for status in STATUSES:
        answer = json.loads(str(encode(message_id, status, "gpio.pulse", (("reason", "r" * 300),)), "utf-8"))
        assert answer["id"] == message_id and answer["command"] == "gpio.pulse"


def test_a_long_reason_keeps_its_beginning():
    answer = json.loads(str(encode("a", "refused", "gpio.set", (("reason", "pin is wrong" * 40),)), "utf-8"))
    assert answer["result"]["reason"].startswith("pin is wrongpin") and answer["result"]["reason"].endswith("...")


def test_escaped_text_is_cut_between_characters():
    assert escaped("abcdef", 6) == "abcdef"
    assert escaped("abcdefg", 6) == "abc..."
    assert escaped("\u00e9\u00e9", 12) == "\\u00e9\\u00e9"
    assert escaped("\u00e9\u00e9", 11) == "\\u00e9..."
    assert escaped("\U0001f600", 12) == "\\ud83d\\ude00"
    assert escaped("\U0001f600\U0001f600", 12) == "..."
