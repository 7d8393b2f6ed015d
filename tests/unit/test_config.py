"""The configuration is checked whole, and what is wrong is said with file, key and what is expected."""

import json
import os

from fieldpost import config
from fieldpost.commands import analog_words, gpio_words
from fieldpost.errors import ConfigError
from support import raises

CONFIG_TEXT = """{"device": "emulator-1", "board": "emulator", "port": "esp32",
    "hub": {"dialect": "azure", "host": "localhost", "port": 8883}, "sample_interval_ms": 1000,
    "batch": {"records_max": 40, "bytes_max": 4000, "age_ms": 500}, "window": 16, "keepalive_s": 30,
    "ring": {"kind": "partition", "label": "queue", "sectors": 64, "journal_sectors": 4},
    "i2c": {"id": 0, "scl": 22, "sda": 21, "frequency_hz": 100000},
    "sensors": [{"driver": "bme280", "address": 119}],
    "pins": {"relay": {"gpio": 26, "safe": 0, "commands": ["gpio.set", "gpio.pulse"], "pulse_max_ms": 10000},
             "button": {"gpio": 4, "direction": "input", "commands": ["gpio.get"]}},
    "wifi": [{"ssid": "field"}], "ntp_hosts": ["localhost"], "watchdog_ms": 8000,
    "status_interval_ms": 1000}"""
MS = " (milliseconds)"
KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
DER = "MIIB" * 40
IDENTITY_TEXT = '{"device_id": "emulator-1", "key": "%s", "ca_der": "%s"}' % (KEY, DER)


HUB_KEYS = "dialect, host, port, transport, tls, methods, twin, roll_roots, topics, provisioning"
HUB = {"dialect": "azure", "tls": True}


def changed(text, path, value):
    """Return the parsed text with `value` at `path`, a tuple of keys; None takes the key out."""
    whole = json.loads(text)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return whole


def message_for(path, value):
    with raises(ConfigError) as error:
        config.check_config(changed(CONFIG_TEXT, path, value))
    return error.message


def test_what_is_right_comes_back_whole():
    given = json.loads(CONFIG_TEXT)
    checked = config.check_config(given)
    for key in given:
        if key not in ("ring", "pins", "hub", "batch"):
            assert checked[key] == given[key], key
    assert checked["pins"]["relay"]["direction"] == "output"
    assert checked["pins"]["button"]["safe"] is None


def test_what_is_left_out_has_a_default():
    least = json.loads(
        '{"device": "a", "board": "a", "port": "linux", "hub": {"host": "h"}, "ring": {"kind": "file", '
        '"path": "/queue"}, "i2c": {"scl": 3, "sda": 2}, "sensors": [{"driver": "bme280"}]}'
    )
    checked = config.check_config(least)
    hub = {key: value for key, value in checked["hub"].items() if value is not None}
    assert hub == {
        "dialect": "azure",
        "host": "h",
        "port": 8883,
        "tls": True,
        "transport": "tcp",
        "methods": True,
        "twin": True,
        "roll_roots": False,
    }
    least["hub"] = {"host": "h", "transport": "websockets"}
    assert config.check_config(least)["hub"]["port"] == 443
    assert checked["batch"] == {
        "records_max": 200,
        "bytes_max": 4000,
        "age_ms": 500,
        "encoding": "json",
        "order": "oldest",
        "per_second": None,
    }
    assert checked["sensors"] == [{"driver": "bme280", "address": 119}]
    assert checked["pins"] == {} and checked["wifi"] == [] and checked["window"] == 16
    assert checked["ring"]["sectors"] == 64 and checked["watchdog_ms"] == 8000


def test_a_board_without_a_network_is_refused():
    assert message_for(("wifi",), []).startswith("config.json: wifi is []: expected at least one network")


def test_the_message_names_file_key_value_and_what_is_expected():
    relay = ("pins", "relay")
    cases = (
        (relay + ("pulse_max_ms",), "abc", 'is "abc": expected an integer from 1 to 3600000 (milliseconds)'),
        (relay + ("pulse_max_ms",), 0, "is 0: expected an integer from 1 to 3600000 (milliseconds)"),
        (relay + ("pulse_max_ms",), True, "is true: expected an integer from 1 to 3600000 (milliseconds)"),
        (relay + ("pulse_max_ms",), 1.5, "is 1.5: expected an integer from 1 to 3600000 (milliseconds)"),
        (relay + ("safe",), 2, "is 2: expected one of 0, 1"),
        (relay + ("safe",), None, "is missing: expected the level, 0 or 1, that harms nobody"),
        (relay + ("gpio",), None, "is missing: expected an integer from 0 to 63"),
        (relay + ("gpio",), 4, "is 4: pins.button has it"),
        (relay + ("commands",), "gpio.set", 'is "gpio.set": expected a list, number of entries: 0 to 8'),
        (("pins", "button", "safe"), 0, "does not belong to direction input"),
        (("pins",), [], "is a list of 0: expected an object of up to 32 entries"),
        (("port",), "esp8266", 'is "esp8266": expected one of esp32, rp2, linux'),
        (("hub", "host"), "", 'is "": expected a host name of 1 to 253 characters'),
        (("hub", "host"), 5, "is 5: expected a host name of 1 to 253 characters"),
        (("hub", "port"), 65536, "is 65536: expected an integer from 1 to 65535"),
        (
            ("hub", "hst"),
            "x",
            "is not a known key: expected one of " + HUB_KEYS,
        ),
        (
            ("hub",),
            None,
            "is missing: expected an object with " + HUB_KEYS,
        ),
        (("device",), "A b", 'is "A b": expected a name (a-z, 0-9, _ and -) of 1 to 64 characters'),
        (("window",), 65, "is 65: expected an integer from 1 to 64 (batches)"),
        (("sensors",), [], "is a list of 0: expected a list, number of entries: 1"),
        (
            ("status_interval_ms",),
            5,
            "is 5: expected 0 for none, or an integer from 100 to 3600000 (milliseconds)",
        ),
        (
            ("ring", "journal_sectors"),
            62,
            "is 62: expected an integer from 4 to 55 (what ring.sectors leaves)",
        ),
        (
            ("ring", "urgent_sectors"),
            60,
            "is 60: expected an integer from 6 to 57 (what ring.sectors leaves)",
        ),
        (("ring", "label"), None, "is missing: a ring of kind partition needs it"),
    )
    for path, value, expected in cases:
        message = message_for(path, value)
        assert message == "config.json: %s %s" % (".".join(path), expected), message


def test_places_in_lists_are_numbered():
    assert message_for(("sensors",), [{"driver": "dht22"}]) == (
        'config.json: sensors[0].driver is "dht22": expected bme280'
    )
    assert message_for(("pins", "relay", "commands"), ["gpio.set", "gpio.blink"]) == (
        'config.json: pins.relay.commands[1] is "gpio.blink": expected one of gpio.set, gpio.get, gpio.toggle, '
        "gpio.pulse, gpio.pattern"
    )
    assert message_for(("pins", "button", "commands"), ["gpio.set"]) == (
        'config.json: pins.button.commands[0] is "gpio.set": expected gpio.get'
    )


def test_what_is_said_of_a_pin_fits_its_direction_and_the_other_pins():
    relay = ("pins", "relay")
    for path, value, expected in (
        (relay + ("not_with",), ["relay"], 'pins.relay.not_with is "relay": expected the name of another output'),
        (relay + ("not_with",), ["pump"], 'pins.relay.not_with is "pump": expected the name of another output'),
        (relay + ("not_with",), ["button"], 'pins.relay.not_with is "button": expected the name of another output'),
        (relay + ("on_max_ms",), 0, "pins.relay.on_max_ms is 0: expected an integer from 1 to 3600000 (milliseconds)"),
        (("pins", "button", "on_max_ms"), 5, "pins.button.on_max_ms does not belong to direction input"),
        (("pins", "fan"), {"gpio": 5, "direction": "pwm", "safe": 1, "commands": []}, "pins.fan.safe is 1: expected 0"),
        (
            ("pins", "fan"),
            {"gpio": 5, "direction": "pwm", "commands": ["gpio.set"]},
            'pins.fan.commands[0] is "gpio.set": expected pwm.set',
        ),
    ):
        message = message_for(path, value)
        assert message.startswith("config.json: " + expected), message


def test_long_values_are_shortened():
    assert len(message_for(("port",), "x" * 5000)) < 100
    assert len(message_for(("x" * 5000,), 1)) < 400


def test_ring_and_watchdog_must_suit_the_port():
    expected = 'config.json: ring.kind on port rp2 is "partition": expected one of lent, files'
    assert message_for(("port",), "rp2") == expected
    whole = changed(CONFIG_TEXT, ("port",), "rp2")
    whole["ring"]["kind"] = "lent"
    config.check_config(whole)
    whole["watchdog_ms"] = 9000
    with raises(ConfigError) as error:
        config.check_config(whole)
    assert error.message == (
        "config.json: watchdog_ms is 9000: expected an integer from 2000 to 8388 (milliseconds) on rp2"
    )


def test_something_else_than_an_object_is_refused():
    for value in ([], 5, None, "x"):
        with raises(ConfigError) as error:
            config.check_config(value)
        assert error.message.startswith("config.json: the object is "), error.message


def test_identity_is_checked_and_its_secrets_are_never_shown():
    assert config.check_identity(json.loads(IDENTITY_TEXT))["wifi_passwords"] == {}
    cases = (
        ("key", "c2hvcnQ="),
        ("key", "not base64 at all"),
        ("key", KEY + "\n"),
        ("key", KEY[:-1]),
        ("key", 5),
        ("ca_der", ""),
        ("ca_der", DER * 40),
        ("wifi_passwords", {"field": "sesame\x00"}),
        ("wifi_passwords", {"field": ["sesame"]}),
    )
    for key, value in cases:
        with raises(ConfigError) as error:
            config.check_identity(changed(IDENTITY_TEXT, (key,), value))
        assert error.message.startswith("identity.json: " + key), error.message
        assert "is not right: expected " in error.message
        for secret in ("c2hvcnQ", "not base64", KEY[:8], "MIIB", "sesame"):
            assert secret not in error.message, error.message


def test_a_device_proves_itself_by_one_thing():
    for given, said in (
        ({"certificate": DER}, "private_key is missing: certificate is nothing without it"),
        ({"private_key": DER}, "certificate is missing: private_key is nothing without it"),
        ({"key": KEY, "certificate": DER, "private_key": DER}, "key and certificate are both there"),
        ({"key": KEY, "password": "sesame"}, "username is missing: password is nothing without it"),
        ({}, "key is missing: expected it, or certificate and private_key"),
    ):
        identity = {"device_id": "a", "ca_der": DER}
        identity.update(given)
        with raises(ConfigError) as error:
            config.check_identity(identity, HUB)
        assert error.message.startswith("identity.json: " + said), error.message
        assert DER not in error.message and "sesame" not in error.message
    found = config.check_identity({"device_id": "a", "ca_der": [DER, DER], "certificate": DER, "private_key": DER})
    assert found["key"] is None and found["ca_der"] == [DER, DER]


def test_a_plain_broker_has_topics_and_perhaps_no_tls():
    plain = {"dialect": "plain", "host": "h", "tls": False}
    hub = config.check_config(changed(CONFIG_TEXT, ("hub",), plain))["hub"]
    assert (hub["port"], hub["methods"], hub["twin"]) == (8883, False, False)
    assert hub["topics"]["telemetry"] == "fieldpost/{device_id}/telemetry/{message_id}"
    for who in ({}, {"username": "u"}, {"username": "u", "password": "sesame"}):
        who["device_id"] = "a"
        config.check_identity(who, hub)
    for given, said in (
        ({"dialect": "azure", "host": "h", "tls": False}, "hub.tls is false: Azure IoT Hub has no other way in"),
        ({"dialect": "azure", "host": "h", "topics": {}}, "hub.topics is for dialect plain"),
        ({"dialect": "azure"}, "hub.host is missing"),
        ({"dialect": "plain", "provisioning": {"id_scope": "x"}}, "hub.host is missing"),
        ({"dialect": "plain", "host": "h", "twin": True}, "hub.twin is true: only Azure IoT Hub has it"),
        ({"dialect": "plain", "host": "h", "topics": {"telemetry": "t"}}, "hub.topics.telemetry lacks {message_id}"),
        ({"dialect": "plain", "host": "h", "topics": {"commands": "a/#"}}, 'hub.topics.commands is "a/#": expected'),
        ({"dialect": "plain", "host": "h", "topics": {"status": "$SYS"}}, 'hub.topics.status is "$SYS": expected'),
        ({"dialect": "plain", "host": "h", "topics": {"status": "{x}"}}, 'hub.topics.status is "{x}": expected'),
    ):
        message = message_for(("hub",), given)
        assert message.startswith("config.json: " + said), message
    for who, said in (
        ({"key": KEY, "device_id": "a"}, "key is for Azure"),
        ({"certificate": DER, "private_key": DER, "device_id": "a"}, "certificate shows itself in TLS alone"),
        ({"device_id": "a/b"}, "device_id holds /"),
    ):
        with raises(ConfigError) as error:
            config.check_identity(who, hub)
        assert error.message.startswith("identity.json: " + said), error.message
    with raises(ConfigError):
        config.check_identity({"device_id": "a"}, dict(hub, tls=True))
    hub["topics"]["telemetry"] = "{device_id}/{device_id}/{device_id}/{message_id}"
    config.check_identity({"device_id": "a" * 111}, hub)
    with raises(ConfigError) as error:
        config.check_identity({"device_id": "a" * 112}, hub)
    assert "device_id makes a topic of 387 bytes out of hub.topics.telemetry: shorten one" in error.message


def test_networks_may_have_static_addresses_and_a_lamp_a_pin_of_its_own():
    wifi = [{"ssid": "a", "address": "10.0.0.9", "gateway": "10.0.0.1"}, {"ssid": "b"}]
    checked = config.check_config(changed(CONFIG_TEXT, ("wifi",), wifi))["wifi"]
    assert checked[0]["netmask"] == "255.255.255.0" and checked[0]["dns"] == "10.0.0.1"
    assert checked[1] == {"ssid": "b"}
    for given, said in (
        ({"ssid": "a", "address": "10.0.0.9"}, "wifi[0].gateway is missing"),
        ({"ssid": "a", "gateway": "10.0.0.9"}, "wifi[0].address is missing"),
        ({"ssid": "a", "address": "10.0.0.256", "gateway": "10.0.0.1"}, 'wifi[0].address is "10.0.0.256": expected'),
        ({"ssid": "a", "address": "10.0.0.9", "gateway": "10..1"}, 'wifi[0].gateway is "10..1": expected'),
        ({"ssid": "a", "address": "host", "gateway": "10.0.0.1"}, 'wifi[0].address is "host": expected'),
    ):
        message = message_for(("wifi",), [given])
        assert message.startswith("config.json: " + said), message
    given = json.loads(CONFIG_TEXT)
    given["status_led"] = {"gpio": "LED"}
    assert config.check_config(given)["status_led"] == {"gpio": "LED", "inverted": False}
    given["status_led"] = {"gpio": 26}
    with raises(ConfigError) as error:
        config.check_config(given)
    assert error.message == "config.json: status_led.gpio is 26: pins.relay has it"


def test_a_device_that_is_assigned_needs_no_host():
    given = {"provisioning": {"id_scope": "0ne00000000"}}
    hub = config.check_config(changed(CONFIG_TEXT, ("hub",), given))["hub"]
    assert hub["host"] is None
    assert hub["provisioning"]["host"] == "global.azure-devices-provisioning.net"


def test_every_pin_command_of_the_vocabulary_can_be_configured():
    # config may not import commands, so that it stays loadable by itself; here is where the two meet.
    asked = [command for commands in config.PIN_COMMANDS.values() for command in commands]
    assert set(asked) == {word.name for word in gpio_words.WORDS + analog_words.WORDS}


def test_files_are_read_and_named():
    cases = (
        (None, "test-config.json cannot be read"),
        ('{"device', "test-config.json is not JSON in UTF-8"),
        ("[]", "config.json: the object is a list of 0"),
        (" " * 9000, "test-config.json is longer than 8192 bytes"),
    )
    write("test-identity.json", IDENTITY_TEXT)
    try:
        for text, expected in cases:
            if text is not None:
                write("test-config.json", text)
            with raises(ConfigError) as error:
                config.load("test-config.json", "test-identity.json")
            assert error.message.startswith(expected), error.message
        write("test-config.json", CONFIG_TEXT)
        settings, identity = config.load("test-config.json", "test-identity.json")
        assert settings["pins"]["relay"]["gpio"] == 26 and identity["device_id"] == "emulator-1"
    finally:
        os.remove("test-config.json")
        os.remove("test-identity.json")


def test_a_file_that_breaks_off_is_never_taken_for_a_short_one():
    """Goal: half a file must not run a device on defaults. Method: every seventh beginning of one."""
    write("test-identity.json", IDENTITY_TEXT)
    try:
        for length in range(0, len(CONFIG_TEXT), 7):
            write("test-config.json", CONFIG_TEXT[:length])
            with raises(ConfigError) as error:
                config.load("test-config.json", "test-identity.json")
            assert error.message.startswith("test-config.json "), (length, error.message)
        write("test-config.json", CONFIG_TEXT.replace('"queue"', '"q{[\\\\"'))
        settings, _ = config.load("test-config.json", "test-identity.json")
        assert settings["ring"]["label"] == "q{[\\"
    finally:
        os.remove("test-config.json")
        os.remove("test-identity.json")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
