"""The Azure dialect: signatures, topics, property bags, commands."""

import sys

from fieldpost import hmac_sha256
from fieldpost.commands.vocabulary import Vocabulary
from fieldpost.compat import is_micropython
from fieldpost.errors import ClockUnknown, CommandMalformed
from fieldpost.hubs.azure import AzureDialect
from fieldpost.hubs.azure_message import expiry_ms
from fieldpost.hubs.properties import quote
from fieldpost.hubs.property_bag import decode, unquote
from support import raises

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def dialect(utc_ms=1_795_443_852_999):
    return AzureDialect("localhost", "dev1", KEY, lambda: utc_ms)


def test_hmac_matches_rfc_4231():
    # RFC 4231 section 4.2, 4.3 and 4.7 (a key longer than a block).
    for key, data, expected in (
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ):
        found = "".join(["%02x" % byte for byte in hmac_sha256.digest(key, data)])
        assert found == expected


def test_the_token_is_what_the_vendors_sdk_makes():
    # Made by azure-iot-device 2.14.0 for the same key, resource and expiry.
    assert dialect().password() == (
        "SharedAccessSignature sr=localhost%2Fdevices%2Fdev1"
        "&sig=rQIT%2FMBgfKZJg2VEE6fIiilcmWDEzmXN3UkSIdYX4Jk%3D&se=1795447452"
    )


def test_without_a_clock_nothing_is_signed():
    with raises(ClockUnknown):
        dialect(None).password()


def test_identity_and_topics():
    hub = dialect()
    assert hub.client_id == "dev1"
    assert hub.username == "localhost/dev1/?api-version=2021-04-12"
    assert hub.subscriptions == (("devices/dev1/messages/devicebound/#", 1),)
    assert hub.event_topic("a/b-1") == (
        b"devices/dev1/messages/events/%24.mid=a%2Fb-1&%24.ct=application%2Fjson&%24.ce=utf-8&fp=1"
    )


def test_properties_survive_quoting():
    for text in ("plain", "a b+c", "50%", "k=v&x", "gr\u00fc\u00df dich \u20ac", "$.mid"):
        assert unquote(quote(text)) == text
    assert decode("?%24.mid=x%20y&empty=&none&iothub-ack=full") == {
        "$.mid": "x y",
        "empty": "",
        "none": None,
        "iothub-ack": "full",
    }
    for bad in ("%zz", "%4", "%ff%fe"):
        with raises(ValueError):
            unquote(bad)


def parse(bag, body):
    return dialect().parse(b"devices/dev1/messages/devicebound/" + bag, body)


def test_a_command_stands_in_the_body_or_in_a_property():
    body = b'{"command":"gpio.set","arguments":{"pin":"relay","value":1}}'
    assert parse(b"%24.mid=c1", body)[:4] == ("c1", "gpio.set", {"pin": "relay", "value": 1}, None)
    assert parse(b"%24.mid=c2&command=gpio.get", b'{"pin":"led"}')[:4] == ("c2", "gpio.get", {"pin": "led"}, None)
    assert parse(b"command=ping", b"")[:4] == ("", "ping", {}, None)
    assert dialect().parse(b"devices/other/messages/devicebound/", b"") is None
    assert parse(b"%24.exp=2026-11-23T16%3A00%3A00.5Z&command=ping", b"")[3] == 1_795_449_600_500


def test_what_is_no_command_says_why_and_keeps_its_id():
    for bag, body in (
        (b"%24.mid=c1", b"not json"),
        (b"%24.mid=c1", b'{"command":"ping"'),
        (b"%24.mid=c1", b"[" * 2000),
        (b"%24.mid=c1", b"\xff\xfe"),
        (b"%24.mid=c1", b"[1]"),
        (b"%24.mid=c1", b'{"command":5}'),
        (b"%24.mid=c1", b'{"command":"ping","arguments":[1]}'),
        (b"%24.mid=c1", b""),
        (b"%24.mid=c1&%24.exp=soon&command=ping", b""),
    ):
        try:
            parse(bag, body)
        except CommandMalformed as error:
            assert error.command_id == "c1" and error.reason, (bag, body)
        else:
            raise AssertionError((bag, body))


def test_a_topic_that_is_no_text_is_refused_and_not_an_error():
    for topic in (b"\xff\xfe", b"devices/dev1/messages/devicebound/%24.mid=\xff"):
        with raises(CommandMalformed):
            dialect().parse(topic, b"{}")


def test_expiry_is_unix_time():
    assert expiry_ms(None) is None
    assert expiry_ms("1970-01-01T00:00:00Z") == 0
    assert expiry_ms("2000-02-29T12:34:56.789Z") == 951_827_696_789
    assert expiry_ms("2026-11-23T16:00:00.1234567Z") == 1_795_449_600_123
    for bad in ("tomorrow", "2026-11-23", "12"):
        with raises(ValueError):
            expiry_ms(bad)


def test_what_reads_commands_is_put_away_with_what_checks_them():
    one = dialect()
    assert one.parse(b"devices/dev1/messages/devicebound/%24.mid=c1&command=ping", b"")[:2] == ("c1", "ping")
    assert one.password()
    vocabulary = Vocabulary({})
    vocabulary.put_away()
    for name in ("azure_message", "property_bag", "azure_sas"):
        assert ("fieldpost.hubs." + name in sys.modules) != is_micropython, name
