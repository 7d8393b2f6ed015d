"""Tokens as IoT Hub checks them."""

import pytest

from host_tools.hub import sas

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
OTHER = "b2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
# Made by azure-iot-device 2.14.0 for localhost/devices/dev1.
TOKEN = (
    "SharedAccessSignature sr=localhost%2Fdevices%2Fdev1"
    "&sig=rQIT%2FMBgfKZJg2VEE6fIiilcmWDEzmXN3UkSIdYX4Jk%3D&se=1795447452"
)
RESOURCE = "localhost/devices/dev1"
NOW = 1_795_447_000


def test_the_vendors_token_is_good_with_either_key():
    assert sas.check(TOKEN, [KEY, OTHER], RESOURCE, NOW) == 1_795_447_452
    assert sas.check(TOKEN, [OTHER, KEY], RESOURCE, NOW) == 1_795_447_452


@pytest.mark.parametrize(
    ("token", "keys", "resource", "now", "reason"),
    [
        (TOKEN, [OTHER], RESOURCE, NOW, "signature"),
        (TOKEN, ["not base64"], RESOURCE, NOW, "signature"),
        (TOKEN, [KEY], "localhost/devices/dev2", NOW, "not for"),
        (TOKEN, [KEY], "localhost/devices/dev11", NOW, "not for"),
        (TOKEN, [KEY], RESOURCE, 1_795_447_452, "expired"),
        (TOKEN.replace("se=1795447452", "se=1895447452"), [KEY], RESOURCE, NOW, "signature"),
        (TOKEN.replace("&se=1795447452", ""), [KEY], RESOURCE, NOW, "missing"),
        (TOKEN.replace("se=1795447452", "se=" + "9" * 400), [KEY], RESOURCE, NOW, "malformed"),
        (TOKEN.replace("se=1795447452", "se=+1_795"), [KEY], RESOURCE, NOW, "malformed"),
        (TOKEN, ["schlüssel"], RESOURCE, NOW, "signature"),
        ("hunter2", [KEY], RESOURCE, NOW, "not a shared"),
        ("", [KEY], RESOURCE, NOW, "not a shared"),
    ],
)
def test_every_other_token_is_refused_with_a_reason(token, keys, resource, now, reason):
    with pytest.raises(sas.SasRefused, match=reason):
        sas.check(token, keys, resource, now)


def test_a_wider_scope_covers_whole_segments_only():
    wide = f"SharedAccessSignature sr=LOCALHOST&sig={sas.sign(KEY, 'LOCALHOST', '1795447452')}&se=1795447452"
    assert sas.check(wide, [KEY], RESOURCE, NOW)
    part = sas.sign(KEY, "localhost%2Fdevices%2Fdev", "1795447452")
    with pytest.raises(sas.SasRefused):
        sas.check(
            f"SharedAccessSignature sr=localhost%2Fdevices%2Fdev&sig={part}&se=1795447452",
            [KEY],
            RESOURCE,
            NOW,
        )
