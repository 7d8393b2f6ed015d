"""Property bags: what the vendor's devices write, what comes back out, and what is no bag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.hub import property_bag

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80)
SYSTEM = st.dictionaries(st.sampled_from(["message-id", "correlation-id", "content-type", "to"]), TEXT)
APPLICATION = st.dictionaries(TEXT.filter(lambda key: key and not key.startswith(("$.", "?"))), TEXT)


@given(SYSTEM, APPLICATION)
def test_what_is_encoded_is_what_is_decoded(system, application):
    bag = property_bag.encode(system, application)
    assert bag.isascii() and not set(bag) & set("/#+ "), "it must fit into one segment of a topic"
    assert property_bag.decode(bag) == (system, application)


@given(st.text(max_size=200))
def test_any_text_is_a_bag_or_malformed(text):
    try:
        system, application = property_bag.decode(text)
    except property_bag.BagMalformed:
        return
    assert property_bag.size(system, application) <= 4 * len(text)


@pytest.mark.parametrize(
    ("bag", "system", "application"),
    [
        ("", {}, {}),
        ("%24.mid=a%2Fb&$.cid=c", {"message-id": "a/b", "correlation-id": "c"}, {}),
        ("a+b=c+d", {}, {"a+b": "c+d"}),
        ("?first=1", {}, {"first": "1"}),
        ("null&empty=&last=x&", {}, {"null": None, "empty": "", "last": "x"}),
        ("k=a=b", {}, {"k": "a=b"}),
        ("%24.unknown=1", {}, {"$.unknown": "1"}),
    ],
)
def test_the_corners_of_the_vendors_page(bag, system, application):
    assert property_bag.decode(bag) == (system, application)


@pytest.mark.parametrize("bag", ["%ff=1", "k=%c3", "k=" + "a" * 100 + "%ff"])
def test_what_is_not_utf_8_is_malformed(bag):
    with pytest.raises(property_bag.BagMalformed):
        property_bag.decode(bag)


def test_size_counts_values_of_ours_and_names_and_values_of_theirs():
    assert property_bag.size({"message-id": "abc"}, {"k\u00fc": "v", "flag": None}) == 3 + 3 + 1 + 4
