"""What a device refuses although it knows it: not allowed, too often, too old, not signed."""

from binascii import hexlify

from commands.world import Boot
from fieldpost import hmac_sha256
from fieldpost.commands.policy import Policy
from fieldpost.proof import Proof

KEY = b"sixteen bytes of a key"
BODY = b'{"pin":"relay","width_ms":10}'
SETTINGS = {"allow": None, "per_minute": None, "signed": None, "age_s_max": None, "safe_after_s": None}


def boot_with(key=None, **settings):
    return Boot(policy=Policy(dict(SETTINGS, **settings), key, "dev1"))


def reason_of(boot, command_id, name, **more):
    boot.send(command_id, name, **more)
    boot.run(50)
    answer = boot.answers[-1]
    return answer["result"].get("reason") if answer["status"] == "refused" else answer["status"]


def test_only_what_is_on_the_list_acts():
    boot = boot_with(allow=["gpio.get"])
    assert reason_of(boot, "1", "gpio.set", pin="relay", value=1) == (
        "gpio.set is not on this device's list of allowed commands"
    )
    assert reason_of(boot, "2", "gpio.get", pin="relay") == "done"
    assert boot.pins["relay"].edges == []


def test_a_minute_takes_so_many_and_no_more_and_a_repeat_counts_for_nothing():
    boot = boot_with(per_minute=3)
    for number in range(3):
        assert reason_of(boot, "c%d" % number, "gpio.toggle", pin="relay") == "done"
    assert reason_of(boot, "c3", "gpio.toggle", pin="relay") == "more than 3 commands a minute"
    boot.send("c0", "gpio.toggle", pin="relay")
    boot.run()
    assert len(boot.pins["relay"].edges) == 3 and len(boot.answers) == 4
    boot.now_ms += 20_000
    assert reason_of(boot, "c4", "gpio.toggle", pin="relay") == "done"
    assert reason_of(boot, "c5", "gpio.toggle", pin="relay") == "more than 3 commands a minute"


def test_what_waited_too_long_or_says_nothing_of_its_age_does_not_act():
    boot = boot_with(age_s_max=60)
    for sent_ms, expected in (
        (boot.utc_ms - 60_000, "done"),
        (boot.utc_ms - 60_001, "it is older than 60 s"),
        (None, "its age is not known: it needs the property `at` (Unix ms), and the device the time"),
    ):
        assert reason_of(boot, str(sent_ms), "ping", proof=Proof(sent_ms, None, b"")) == expected
    assert reason_of(boot, "m", "ping") == "done", "a method was queued nowhere"


def test_a_command_older_than_the_newest_for_its_pin_does_not_act_also_after_a_restart():
    boot = Boot()
    assert reason_of(boot, "new", "gpio.set", pin="relay", value=1, proof=Proof(2000, None, b"")) == "done"
    assert reason_of(boot, "old", "gpio.set", pin="relay", value=0, proof=Proof(1999, None, b"")) == (
        "a newer command has acted on pin relay"
    )
    assert reason_of(boot, "led", "gpio.set", pin="led", value=0, proof=Proof(1999, None, b"")) == "done"
    assert boot.pins["relay"].edges == [1]
    boot = Boot(ring=boot.ring, answers=boot.answers)
    assert reason_of(boot, "late", "gpio.set", pin="relay", value=1, proof=Proof(1999, None, b"")) == (
        "a newer command has acted on pin relay"
    )
    assert boot.pins["relay"].edges == []
    assert reason_of(boot, "next", "gpio.set", pin="relay", value=1, proof=Proof(2001, None, b"")) == "done"


def signed(boot, key=KEY, body=BODY, device="dev1", name="gpio.pulse", command_id="p"):
    text = "%s\n%s\n%d\n%s\n" % (device, command_id, boot.utc_ms + 5000, name)
    return Proof(None, str(hexlify(hmac_sha256.digest(key, text.encode() + body)), "ascii"), BODY)


def test_a_dangerous_command_needs_a_signature_over_all_of_it():
    for change, expected in (
        ({}, "done"),
        ({"key": b"another key"}, "the signature is wrong"),
        ({"body": BODY + b" "}, "the signature is wrong"),
        ({"device": "dev2"}, "the signature is wrong"),
        ({"name": "gpio.set"}, "the signature is wrong"),
        ({"command_id": "q"}, "the signature is wrong"),
    ):
        boot = boot_with(KEY, signed=["gpio.pulse"])
        found = reason_of(
            boot,
            "p",
            "gpio.pulse",
            pin="relay",
            width_ms=10,
            expires_ms=boot.utc_ms + 5000,
            proof=signed(boot, **change),
        )
        assert found == expected, (change, found)
        assert len(boot.pins["relay"].edges) == (2 if expected == "done" else 0)


def test_a_signature_without_an_end_or_a_key_is_worth_nothing():
    boot = boot_with(KEY, signed=["ping"])
    assert reason_of(boot, "1", "ping", proof=Proof(None, "00", b"")) == (
        "a signed command needs an expiry and a message id"
    )
    assert reason_of(boot, "2", "ping") == "ping needs a signature", "a method brings none"
    boot = boot_with(None, signed=["ping"])
    assert reason_of(boot, "3", "ping", proof=Proof(None, "00", b"")).startswith("ping needs a signature, and this")


def test_outputs_are_made_safe_when_the_link_stays_away():
    boot = boot_with(safe_after_s=10)
    boot.send("1", "gpio.set", pin="relay", value=1)
    boot.run()
    for now_ms, is_up, level in ((9_999, False, 1), (5_000, True, 1), (14_999, False, 1), (15_000, False, 0)):
        boot.commands.link(now_ms, is_up)
        assert boot.pins["relay"].level == level, now_ms
    boot.now_ms = 16_000
    boot.send("2", "gpio.set", pin="relay", value=1)
    boot.run()
    boot.commands.link(60_000, False)
    assert boot.pins["relay"].level == 1, "once: what comes afterwards is somebody's will"


def test_digests_are_compared_whole():
    assert hmac_sha256.is_equal(b"abc", b"abc")
    for other in (b"abd", b"ab", b"", b"abcd"):
        assert not hmac_sha256.is_equal(b"abc", other)
