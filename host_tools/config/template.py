"""The fieldpost.toml that `fieldpost init` writes: every key, with its meaning beside it."""

import json
from collections.abc import Sequence


def settings_text(hub_host: str | None, networks: Sequence[str], interval_ms: int, id_scope: str | None = None) -> str:
    """Return the text of the file. hub_host: of an Azure hub; None for the local one."""
    if hub_host is None:
        hub = 'kind = "local"  # `fieldpost hub run` on this machine; or "azure"\n# host = "NAME.azure-devices.net"'
    else:
        hub = f'kind = "azure"  # or "local": `fieldpost hub run` on this machine\nhost = {json.dumps(hub_host)}'
    scope = f"id_scope = {json.dumps(id_scope)}" if id_scope else '# id_scope = "0ne00000000"'
    return f"""\
# What the devices flashed from this folder have in common. `fieldpost init` wrote it; change it as you like:
# every key is checked when it is used. Passwords and keys do not belong here, see fieldpost.secrets.toml.

[hub]
{hub}
# port = 8883
# transport = "websockets"  # on port 443, for networks that let nothing else out
# The root certificates that the hub's chain may end in, up to four in one PEM file: for Azure today and next, DigiCert
# Global Root G2, Microsoft RSA Root Certificate Authority 2017 and DigiCert Global Root G3. The local hub's own is
# found without it.
# root_certificate = "roots.pem"
# Whether devices take further roots over the air (docs/connect.md).
# roll_roots = true
# kind = "plain" is any other MQTT 3.1.1 broker; it may be reached without TLS, and has topics of its own:
# tls = true
# topics.telemetry = "fieldpost/{{device_id}}/telemetry/{{message_id}}"
# topics.commands = "fieldpost/{{device_id}}/commands"
# topics.status = "fieldpost/{{device_id}}/status"
# Where the local hub keeps its things, if not in its usual place.
# data = "hub"

[provisioning]
# Of the Device Provisioning Service, if devices are to ask it which hub is theirs; hub.host may then be absent.
{scope}
# host = "global.azure-devices-provisioning.net"

[readings]
# Milliseconds between two readings, 50 to 86400000.
interval_ms = {interval_ms}

[messages]
# What readings are written in: "json", which a hub can route by; "cbor", two fifths of the bytes; "senml" (RFC 8428).
encoding = "json"
# After an outage: "oldest" first; "live" readings at once, the backlog in the room that is left; or its "newest" first.
order = "oldest"
# The most that may leave in a second. Without it a device sends as fast as the hub takes it.
# per_second = 20

# The most that a message holds, in bytes (IoT Hub meters in blocks of 4 KB) and records; how long a reading waits for
# company.
# bytes_max = 4000
# records_max = 200
# age_ms = 500

[link]
# Messages under way at once, and seconds without a word after which device and hub make sure of one another.
# window = 16
# keepalive_s = 30

[commands]
# What narrows the permissions of the pins further (docs/commands.md).
# allow = ["gpio.set", "gpio.get", "agent.info"]
# per_minute = 60
# age_s_max = 300
# safe_after_s = 3600
# signed = ["hub.root"]  # with the key in fieldpost.secrets.toml

[wifi]
# The networks that a device may join, tried in this order. Their passwords: fieldpost.secrets.toml.
networks = {json.dumps(list(networks), ensure_ascii=False)}
# Where a network gives no address by DHCP:
# addresses.NAME = {{ address = "192.168.1.9", gateway = "192.168.1.1" }}  # and perhaps netmask, dns

# A lamp that tells joining, connecting, ready and error apart (docs/connect.md).
# [status_led]
# gpio = "LED"  # on a Pico W; elsewhere the number of a free GPIO
# inverted = false

[time]
# Asked for the time of day after each start; the next one if one does not answer, up to four.
servers = ["pool.ntp.org", "time.cloudflare.com", "time.windows.com"]
"""
