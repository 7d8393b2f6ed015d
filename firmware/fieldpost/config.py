"""What a device is told about itself: config.json for anyone to read, identity.json with its secrets.

Both are checked whole before anything is built from them. A message names the file, the key and what is
expected; what stands in identity.json never appears in one.

    config.json: pins.relay.pulse_max_ms is "abc": expected an integer from 1 to 3600000 (milliseconds)
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.errors import ConfigError
from fieldpost.limits import (
    BATCH_BYTES_MAX,
    BATCH_BYTES_MIN,
    BATCH_RECORDS_MAX,
    CA_BYTES_MAX,
    CERTIFICATE_BYTES_MAX,
    CONFIG_BYTES_MAX,
    EVENT_TOPIC_BYTES_MAX,
    IDLE_WAIT_MS_LONGEST,
    IDLE_WAIT_MS_MAX,
    JOURNAL_SECTORS_MIN,
    MESSAGE_ID_BYTES_MAX,
    PIN_NAME_CHARS_MAX,
    PINS_MAX,
    PRIVATE_KEY_BYTES_MAX,
    PULSE_MS_MAX,
    RING_SECTORS_MAX,
    RING_SECTORS_MIN,
    ROOTS_MAX,
    SAMPLE_MS_MAX,
    SAMPLE_MS_MIN,
    SENML_BYTES_MIN,
    TRIAL_MS,
    TRIAL_S_MAX,
    TRIAL_S_MIN,
    URGENT_SECTORS_MIN,
    WINDOW_BATCHES_MAX,
)
from fieldpost.shapes import Base64, Choice, Fields, Integer, ListOf, MapOf, Mismatch, Optional, Text, mismatch, name

# By direction: what a pin may be asked.
PIN_COMMANDS = {
    "output": ("gpio.set", "gpio.get", "gpio.toggle", "gpio.pulse", "gpio.pattern"),
    "input": ("gpio.get",),
    "pwm": ("pwm.set",),
    "adc": ("adc.read",),
}
_DRIVEN = ("output", "pwm")

# Where each port keeps its ring, and what it must be told to find it.
_RING_KINDS = {
    "esp32": (("partition", "label"), ("files", "sectors")),
    "rp2": (("lent", "sectors"), ("files", "sectors")),
    "linux": (("file", "path"),),
}  # by port: what a ring may live in, and what that needs
_RP2_WATCHDOG_MS_MAX = 8388  # RP2040 datasheet section 4.7: 24 bits that count down twice per microsecond

_SECTORS = "sectors of 4 KiB"
_SECTORS_MIN = RING_SECTORS_MIN + URGENT_SECTORS_MIN + JOURNAL_SECTORS_MIN


_NTP_HOSTS = ("pool.ntp.org", "time.cloudflare.com", "time.windows.com")
_TOPICS = (
    ("telemetry", "fieldpost/{device_id}/telemetry/{message_id}"),
    ("commands", "fieldpost/{device_id}/commands"),
    ("status", "fieldpost/{device_id}/status"),
)


def load(config_path="/config.json", identity_path="/identity.json"):
    """Return (config, identity): dicts that hold every key, defaults filled in. Raises ConfigError."""
    config = check_config(_read(config_path))
    return config, check_identity(_read(identity_path), config["hub"])


def check_config(value):
    """Return a parsed config.json with defaults filled in; raise ConfigError for the first fault."""
    try:
        config = _config_shape().check(value, "")
        _check_hub(config["hub"])
        _check_ring(config)
        _check_pins(config["pins"])
        _check_wifi(config["wifi"])
        _check_led(config["status_led"], config["pins"])
    except Mismatch as mismatch:
        raise ConfigError("config.json: %s" % mismatch) from None
    batch = config["batch"]
    if batch["encoding"] == "senml" and batch["bytes_max"] < SENML_BYTES_MIN:
        raise ConfigError(
            "config.json: batch.bytes_max is %d: expected an integer from %d to %d (bytes) with encoding senml"
            % (batch["bytes_max"], SENML_BYTES_MIN, BATCH_BYTES_MAX)
        )
    if config["port"] != "linux" and not config["wifi"]:
        raise ConfigError('config.json: wifi is []: expected at least one network, such as [{"ssid": "shed"}]')
    if config["port"] == "rp2" and config["watchdog_ms"] > _RP2_WATCHDOG_MS_MAX:
        raise ConfigError(
            "config.json: watchdog_ms is %d: expected an integer from 2000 to %d (milliseconds) on rp2"
            % (config["watchdog_ms"], _RP2_WATCHDOG_MS_MAX)
        )
    return config


def check_identity(value, hub=None):
    """Return a parsed identity.json with defaults filled in; raise ConfigError for the first fault.

    hub: the configuration's, checked, if it is known: what such a hub needs is then asked for.
    """
    try:
        if isinstance(value, dict) and isinstance(value.get("ca_der"), str):
            value = dict(value)
            value["ca_der"] = [value["ca_der"]]
        identity = _identity_shape().check(value, "")
        _check_proof(identity, hub)
    except Mismatch as mismatch:
        raise ConfigError("identity.json: %s" % mismatch) from None
    return identity


def _check_proof(identity, hub):
    """Raise Mismatch unless what the device proves itself by is one thing, and whole."""
    for key, other in (("certificate", "private_key"), ("private_key", "certificate"), ("password", "username")):
        if identity[key] is not None and identity[other] is None:
            raise Mismatch("%s is missing: %s is nothing without it" % (other, key))
    if identity["key"] is not None and identity["certificate"] is not None:
        raise Mismatch("key and certificate are both there: expected one of them")
    if hub is None:
        return
    if identity["ca_der"] is None and hub["tls"]:
        raise Mismatch("ca_der is missing: expected the root certificates that the hub's chain may end in")
    if hub["dialect"] == "azure":
        if identity["key"] is None and identity["certificate"] is None:
            raise Mismatch("key is missing: expected it, or certificate and private_key")
        return
    if identity["key"] is not None:
        raise Mismatch("key is for Azure: expected username and password, or certificate and private_key, or neither")
    if identity["certificate"] is not None and not hub["tls"]:
        raise Mismatch("certificate shows itself in TLS alone, and hub.tls is false in config.json")
    for character in "+#/":
        if character in identity["device_id"]:
            raise Mismatch("device_id holds %s, which topics of MQTT cannot carry" % character)
    topic = hub["topics"]["telemetry"].replace("{device_id}", identity["device_id"])
    size = len(topic.replace("{message_id}", " " * MESSAGE_ID_BYTES_MAX).encode())
    if size > EVENT_TOPIC_BYTES_MAX:
        raise Mismatch(
            "device_id makes a topic of %d bytes out of hub.topics.telemetry: shorten one of them, %d is the most"
            % (size, EVENT_TOPIC_BYTES_MAX)
        )


def _check_hub(hub):
    """Raise Mismatch for what the dialect does not know; fill in what follows from it."""
    is_azure = hub["dialect"] == "azure"
    if hub["port"] is None:
        hub["port"] = 443 if hub["transport"] == "websockets" else 8883
    for key in ("methods", "twin"):
        if hub[key] is None:
            hub[key] = is_azure
    if hub["host"] is None and (hub["provisioning"] is None or not is_azure):
        raise Mismatch("hub.host is missing: expected a host name")
    if hub["roll_roots"] and not hub["tls"]:
        raise Mismatch("hub.roll_roots is true: without TLS there are no roots")
    if is_azure:
        if not hub["tls"]:
            raise Mismatch("hub.tls is false: Azure IoT Hub has no other way in; only dialect plain may go without")
        if hub["topics"] is not None:
            raise Mismatch("hub.topics is for dialect plain: Azure IoT Hub names its topics itself")
        return
    for key in ("methods", "twin"):
        if hub[key]:
            raise Mismatch("hub.%s is true: only Azure IoT Hub has it" % key)
    if hub["provisioning"] is not None:
        raise Mismatch("hub.provisioning is for dialect azure")
    hub["topics"] = hub["topics"] or {}
    for key, default in _TOPICS:
        hub["topics"][key] = topic = hub["topics"].get(key) or default
        check_topic(topic, "hub.topics." + key)


def check_topic(topic, where):
    """Raise Mismatch for a topic of a plain broker that cannot be one. where: its dotted name, hub.topics.telemetry."""
    plain = topic.replace("{device_id}", "")
    if where.endswith("telemetry"):
        plain = plain.replace("{message_id}", "")
    for character in "+#{}":
        if character in plain:
            raise mismatch(where, topic, "a topic without wildcards, in which {device_id} may stand")
    if topic.startswith("$"):
        raise mismatch(where, topic, "a topic that does not begin with $, which brokers keep to themselves")
    if where.endswith("telemetry") and "{message_id}" not in topic:
        raise Mismatch(where + " lacks {message_id}: nothing else tells a repeat from a new message")


def _check_ring(config):
    ring = config["ring"]
    kinds = _RING_KINDS[config["port"]]
    Choice(*[kind for kind, _ in kinds]).check(ring["kind"], "ring.kind on port %s" % config["port"])
    for kind, needed in kinds:
        if kind == ring["kind"] and ring[needed] is None:
            raise Mismatch("ring.%s is missing: a ring of kind %s needs it" % (needed, kind))
    room = ring["sectors"] - RING_SECTORS_MIN
    journal = ring["journal_sectors"]
    left = "what ring.sectors leaves"
    Integer(JOURNAL_SECTORS_MIN, room - URGENT_SECTORS_MIN, left).check(journal, "ring.journal_sectors")
    Integer(URGENT_SECTORS_MIN, room - journal, left).check(ring["urgent_sectors"], "ring.urgent_sectors")


def _check_wifi(networks):
    for index in range(len(networks)):
        network = networks[index]
        where = "wifi[%d]." % index
        if network["address"] is None:
            if network["gateway"] or network["dns"]:
                raise Mismatch(where + "address is missing: expected it, or neither gateway nor dns")
            networks[index] = {"ssid": network["ssid"]}
            continue
        if network["gateway"] is None:
            raise Mismatch(where + "gateway is missing: expected it beside the static address")
        network["dns"] = network["dns"] or network["gateway"]
        for key in ("address", "netmask", "gateway", "dns"):
            check_address(network[key], where + key)


def check_address(text, where):
    """Raise Mismatch unless a text of digits and dots is an IPv4 address."""
    parts = text.split(".")
    if len(parts) != 4 or [part for part in parts if not part or int(part) > 255]:
        raise mismatch(where, text, "an IPv4 address, such as 192.168.1.9")


def _check_led(led, pins):
    for pin_name in pins if led else ():
        if pins[pin_name]["gpio"] == led["gpio"]:
            raise Mismatch("status_led.gpio is %d: pins.%s has it" % (led["gpio"], pin_name))


def _check_pins(pins):
    owners = {}
    for pin_name in sorted(pins):
        pin = pins[pin_name]
        where = "pins." + pin_name
        if pin["gpio"] in owners:
            raise Mismatch("%s.gpio is %d: pins.%s has it" % (where, pin["gpio"], owners[pin["gpio"]]))
        owners[pin["gpio"]] = pin_name
        check_pin(pins, pin_name)


def check_pin(pins, pin_name):
    """Raise Mismatch unless what is said of a pin fits its direction and the other pins; fill in what follows."""
    pin = pins[pin_name]
    where = "pins." + pin_name
    direction = pin["direction"]
    commands = pin["commands"]
    for index in range(len(commands)):
        commands[index] = Choice(*PIN_COMMANDS[direction]).check(commands[index], "%s.commands[%d]" % (where, index))
    if direction == "output" and pin["safe"] is None:
        raise Mismatch("%s.safe is missing: expected the level, 0 or 1, that harms nobody" % where)
    if direction == "pwm":
        if pin["safe"]:
            raise mismatch(where + ".safe", pin["safe"], "0, which is off")
        pin["safe"] = 0
    if direction not in _DRIVEN:
        for key in ("safe", "on_max_ms", "off_min_ms", "not_with"):
            if pin[key] is not None:
                raise Mismatch("%s.%s does not belong to direction %s" % (where, key, direction))
    for other in pin["not_with"] or ():
        if other == pin_name or other not in pins or pins[other]["direction"] not in _DRIVEN:
            raise mismatch(where + ".not_with", other, "the name of another output")


def _read(path):
    """Return the parsed JSON of a file. Raises ConfigError that names it."""
    file_name = path.split("/")[-1]
    try:
        with open(path, "rb") as file:
            text = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError("%s cannot be read (%s): flash the board again" % (file_name, error)) from None
    if len(text) > CONFIG_BYTES_MAX:
        raise ConfigError("%s is longer than %d bytes" % (file_name, CONFIG_BYTES_MAX))
    try:
        text = str(text, "utf-8")
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError("%s is not JSON in UTF-8 (%s)" % (file_name, error)) from None
    if not is_whole_json(text):
        raise ConfigError("%s breaks off before its end: flash the board again" % file_name)
    return value


def pin_shape():
    """Return the shape of one of the configuration's `pins`; `check_pin` sees what spans its fields."""
    duration = Integer(1, PULSE_MS_MAX, "milliseconds")
    return Fields(
        ("gpio", Integer(0, 63)),
        ("direction", Optional(Choice("output", "input", "pwm", "adc"), "output")),
        ("safe", Optional(Choice(0, 1))),
        ("commands", ListOf(Text(24, "a command"), 8)),
        ("pulse_max_ms", Optional(duration, 10_000)),
        ("on_max_ms", Optional(duration)),
        ("off_min_ms", Optional(duration)),
        ("not_with", Optional(ListOf(name(PIN_NAME_CHARS_MAX), PINS_MAX))),
    )


def batch_fields():
    """Return the fields of the configuration's `batch`."""
    return (
        ("records_max", Optional(Integer(1, BATCH_RECORDS_MAX, "records"), BATCH_RECORDS_MAX)),
        ("bytes_max", Optional(Integer(BATCH_BYTES_MIN, BATCH_BYTES_MAX, "bytes"), 4000)),
        ("age_ms", Optional(Integer(0, 3_600_000, "milliseconds"), 500)),
        ("encoding", Optional(Choice("json", "cbor", "senml"), "json")),
        ("order", Optional(Choice("oldest", "live", "newest"), "oldest")),
        ("per_second", Optional(Integer(1, 1000, "messages"))),
    )


def link_fields():
    """Return the fields of the configuration that say how the link is used."""
    return (
        ("window", Optional(Integer(1, WINDOW_BATCHES_MAX, "batches"), 16)),
        ("keepalive_s", Optional(Integer(5, 1177, "seconds"), 30)),
    )


def command_fields():
    """Return the fields of the configuration's `commands`."""
    return (
        ("allow", Optional(ListOf(Text(32, "a command"), 32))),
        ("per_minute", Optional(Integer(1, 6000, "commands"))),
        ("signed", Optional(ListOf(Text(32, "a command"), 32))),
        ("age_s_max", Optional(Integer(1, 172_800, "seconds"))),
        ("safe_after_s", Optional(Integer(1, 604_800, "seconds"))),
    )


def _config_shape():
    """Return the shape of config.json; made anew each time: kept, its tables would only fill the heap."""
    host = Text(253, "a host name")  # RFC 1035 section 2.3.4
    port = Integer(1, 65535)
    yes_or_no = Choice(True, False)
    gpio = Integer(0, 63)
    address = Text(15, "an IPv4 address", b"0123456789.")
    return Fields(
        ("device", name(64)),
        ("board", name(64)),
        ("port", Choice("esp32", "rp2", "linux")),
        (
            "hub",
            Fields(
                ("dialect", Optional(Choice("azure", "plain"), "azure")),
                ("host", Optional(host)),
                ("port", Optional(port)),  # what is usual for the transport
                ("transport", Optional(Choice("tcp", "websockets"), "tcp")),
                ("tls", Optional(yes_or_no, True)),
                ("methods", Optional(yes_or_no)),
                ("twin", Optional(yes_or_no)),
                ("roll_roots", Optional(yes_or_no, False)),
                ("topics", Optional(Fields(*[(key, Optional(Text(200, "a topic"))) for key, _ in _TOPICS]))),
                (
                    "provisioning",
                    Optional(
                        Fields(
                            ("id_scope", Text(32, "an ID scope, such as 0ne00000000")),
                            ("host", Optional(host, "global.azure-devices-provisioning.net")),
                            ("port", Optional(port, 8883)),
                        )
                    ),
                ),
            ),
        ),
        ("sample_interval_ms", Optional(Integer(SAMPLE_MS_MIN, SAMPLE_MS_MAX, "milliseconds"), 1000)),
        ("batch", Optional(Fields(*batch_fields()), {})),
        *link_fields(),
        (
            "ring",
            Fields(
                ("kind", Choice("partition", "lent", "files", "file")),
                ("label", Optional(Text(16, "a partition's name"))),
                ("path", Optional(Text(255, "a path"))),
                ("sectors", Optional(Integer(_SECTORS_MIN, RING_SECTORS_MAX, _SECTORS), 64)),
                # A part with ECC takes 16 or 32; 256 gives each record a page of its own.
                ("unit_bytes", Optional(Choice(4, 16, 32, 256), 4)),
                ("group_records", Optional(Integer(1, 64, "records"))),
                ("journal_sectors", Optional(Integer(JOURNAL_SECTORS_MIN, 64, _SECTORS), 4)),
                ("urgent_sectors", Optional(Integer(URGENT_SECTORS_MIN, 64, _SECTORS), 8)),
            ),
        ),
        (
            "i2c",
            Fields(
                ("id", Optional(Integer(0, 7), 0)),
                ("scl", gpio),
                ("sda", gpio),
                ("frequency_hz", Optional(Integer(10_000, 1_000_000, "hertz"), 100_000)),
            ),
        ),
        (
            "sensors",
            ListOf(Fields(("driver", Choice("bme280")), ("address", Optional(Choice(118, 119), 119))), 1, 1),
        ),
        ("pins", Optional(MapOf(name(PIN_NAME_CHARS_MAX), pin_shape(), PINS_MAX), {})),
        ("commands", Optional(Fields(*command_fields()), {})),
        # How long new settings from afar may take to prove good before they are taken back.
        ("trial_s", Optional(Integer(TRIAL_S_MIN, TRIAL_S_MAX, "seconds"), TRIAL_MS // 1000)),
        (
            "wifi",
            Optional(
                ListOf(
                    Fields(
                        ("ssid", _ssid()),
                        ("address", Optional(address)),  # of this device there; without one, DHCP gives it
                        ("netmask", Optional(address, "255.255.255.0")),
                        ("gateway", Optional(address)),
                        ("dns", Optional(address)),
                    ),
                    8,
                ),
                (),
            ),
        ),
        ("status_led", Optional(Fields(("gpio", Choice("LED", *range(64))), ("inverted", Optional(yes_or_no, False))))),
        ("ntp_hosts", Optional(ListOf(host, 4, 1), _NTP_HOSTS)),
        ("watchdog_ms", Optional(Integer(2000, 60_000, "milliseconds"), 8000)),
        # How long the loop sleeps at most; what the hub sends wakes it all the same.
        ("idle_wait_ms", Optional(Integer(10, IDLE_WAIT_MS_LONGEST, "milliseconds"), IDLE_WAIT_MS_MAX)),
        ("status_interval_ms", Optional(Integer(100, 3_600_000, "milliseconds", or_zero=True), 1000)),
    )


def _identity_shape():
    """Return the shape of identity.json."""
    root = Base64(64, CA_BYTES_MAX, "the DER of a root certificate that the hub's chain may end in")
    return Fields(
        ("device_id", Text(128, "a device id")),
        # IoT Hub: symmetric keys of 16 to 64 bytes.
        ("key", Optional(Base64(16, 64, "the device's primary or secondary key"))),
        # Instead of a key; its common name is the device's id.
        ("certificate", Optional(Base64(64, CERTIFICATE_BYTES_MAX, "the DER of the device's certificate"))),
        ("private_key", Optional(Base64(32, PRIVATE_KEY_BYTES_MAX, "the DER of its private key, PKCS #8"))),
        # For brokers other than Azure's.
        ("username", Optional(Text(128, "a user name"))),
        ("password", Optional(Text(256, "a password", secret=True))),
        # Never the hub's: whoever holds it may ask for the words in commands.signed.
        ("command_key", Optional(Base64(16, 64, "the key that signs commands"))),
        ("ca_der", Optional(ListOf(root, ROOTS_MAX, 1))),  # one may stand without a list around it
        ("wifi_passwords", Optional(MapOf(_ssid(), Text(64, "a password", secret=True), 8), {})),
    )


def _ssid():
    return Text(32, "a network name")  # IEEE 802.11: 0 to 32 octets
