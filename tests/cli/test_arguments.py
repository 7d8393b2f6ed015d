"""KEY=VALUE pairs: JSON where it is JSON, text otherwise."""

import pytest

from host_tools.cli.arguments import numbers, pairs
from host_tools.errors import UserError


def test_values_are_json_or_text():
    assert pairs(["pin=relay", "value=1", "on=true", "text=a=b", "empty=", 'q="1"', "nan=NaN"]) == {
        "pin": "relay",
        "value": 1,
        "on": True,
        "text": "a=b",
        "empty": "",
        "q": "1",
        "nan": "NaN",
    }


@pytest.mark.parametrize("text", ["pin", "=relay", ""])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(UserError, match="KEY=VALUE"):
        pairs([text])


def test_numbers_are_numbers():
    assert numbers(["temperature=31.5", "humidity=40"]) == {"temperature": 31.5, "humidity": 40}
    for text in ("temperature=hot", "temperature=true", "temperature=NaN", "temperature=[1]"):
        with pytest.raises(UserError, match="is no number"):
            numbers([text])
