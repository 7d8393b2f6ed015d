"""What a message's body is read as, and every way in which it is refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.audit import claims


def test_a_message_with_readings_events_and_losses_is_read():
    body = {
        "q": "1f2e3d4c",
        "lost": [[5, 9]],
        "records": [{"n": 10, "temperature": 21.5}, {"n": 11, "event": "boot", "cause": "power"}],
    }
    assert claims.read(json.dumps(body).encode()) == claims.Claims("1f2e3d4c", (10, 11), (11,), ((5, 9),))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "not JSON"),
        (b"[]", "ring id"),
        (b"7", "no object"),
        (b'[{"n":"x","v":1}]', "before any record"),
        (b'[{"n":"n","v":1,"bt":1e999999}]', "no time"),
        (b'[{"n":"n","v":1},{"n":"up","v":"now"}]', "none of the forms"),
        (b'[{"n":"n","v":1},{"n":"x","u":["/"],"v":1}]', "none of the forms"),
        (b"[" * 100_000, "recursion"),
        (b'{"q":' * 100_000, "recursion"),
        (b"\xbf" * 100_000, "not JSON"),
        (b'{"records":[]}', "ring id"),
        (b'{"q":"","records":[]}', "ring id"),
        (b'{"q":"a","records":{}}', "no list"),
        (b'{"q":"a","records":[7]}', "None is no record number"),
        (b'{"q":"a","records":[{"n":0}]}', "0 is no record number"),
        (b'{"q":"a","records":[{"n":true}]}', "True is no record number"),
        (b'{"q":"a","lost":7}', "no list"),
        (b'{"q":"a","lost":[[1]]}', r"instead of \[first, last\]"),
        (b'{"q":"a","lost":[[3,2]]}', "ends before it begins"),
        (b'{"q":"a","lost":[[-3,2]]}', "-3 is no record number"),
    ],
)
def test_a_body_that_says_nothing_sensible_is_refused_with_the_reason(body, reason):
    with pytest.raises(claims.Unreadable, match=reason):
        claims.read(body)


def test_only_marked_messages_are_ours():
    assert claims.is_ours({"fp": "1", "x": "y"})
    assert not claims.is_ours({})
    assert not claims.is_ours({"fp": "2"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["q", "lost", "records", "n", "event"]), inner),
        max_leaves=20,
    )
)
def test_any_json_is_read_or_refused(content):
    """Goal: a body from a stranger raises Unreadable or is read; nothing else."""
    with contextlib.suppress(claims.Unreadable):
        claims.read(json.dumps(content).encode())
