"""Whatever characters a text from outside is made of, nothing of it stays on a board's heap.

MicroPython interns every character that a program takes out of a string, and never forgets it.
"""

import gc

from fieldpost import compat
from fieldpost.commands.answer import escaped
from fieldpost.compat import is_whole_json
from fieldpost.shapes import Text

FIRST, COUNT = 0x4E00, 2_000  # CJK ideographs, three bytes of UTF-8 each; for every test its own
TEXT = Text(64)


def ideograph(number):
    code = FIRST + number
    return str(bytes((0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F)), "utf-8")


def assert_keeps_nothing(use, turn):
    use(ideograph(0))
    before = taken()
    for number in range(turn * COUNT, (turn + 1) * COUNT):
        use(ideograph(number))
    assert taken() - before < COUNT, "%d bytes stay for %d characters" % (taken() - before, COUNT)


def taken():
    gc.collect()
    return gc.mem_alloc() if compat.is_micropython else 0


def test_an_answer_keeps_none_of_the_characters_that_it_escapes():
    assert escaped(ideograph(0), 64) == "\\u4e00"
    assert_keeps_nothing(lambda text: escaped(text, 64), 1)


def test_looking_for_the_brackets_of_a_command_keeps_none_of_its_characters():
    assert_keeps_nothing(lambda text: is_whole_json('{"id":"%s"}' % text), 2)


def test_checking_a_text_keeps_none_of_its_characters():
    assert_keeps_nothing(lambda text: TEXT.check(text, "here"), 3)
