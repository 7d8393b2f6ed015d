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
# The root certificate that the hub's chain ends in, PEM. The local hub's own is found without it.
# root_certificate = "root.pem"
# Where the local hub keeps its things, if not in its usual place.
# data = "hub"

[provisioning]
# Of the Device Provisioning Service, if devices are to be assigned by it.
{scope}

[readings]
# Milliseconds between two readings, 50 to 86400000.
interval_ms = {interval_ms}

[wifi]
# The networks that a device may join, the first one in range is taken. Their passwords: fieldpost.secrets.toml.
networks = {json.dumps(list(networks), ensure_ascii=False)}

[time]
# Asked for the time of day after each start.
servers = ["pool.ntp.org"]
"""
