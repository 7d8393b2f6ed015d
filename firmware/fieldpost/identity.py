"""From configuration and identity to what a connection is made with: a dialect and a TLS context.

Used once, when a device is built; main.py then takes this module off the heap.
"""

from binascii import a2b_base64

from fieldpost.errors import ConfigError


def make_dialect(hub, identity, utc_ms, port):
    """Return (dialect, host, port) of the first connection that the configuration's `hub` asks for.

    utc_ms: callable, Unix time in ms or None. port: of the machine, which keeps an assignment.
    """
    device_id, key = identity["device_id"], identity["key"]
    if hub["dialect"] == "plain":
        from fieldpost.hubs.plain import PlainDialect

        judged = utc_ms if hub["tls"] else None
        dialect = PlainDialect(hub["topics"], device_id, identity["username"], identity["password"], judged)
    elif hub["provisioning"] is not None:
        from fieldpost.hubs.azure_dps import AssignedDialect

        store = port.stored("assignment")
        dialect = AssignedDialect(hub["provisioning"], hub["port"], device_id, key, utc_ms, store)
        return (dialect,) + dialect.server
    else:
        from fieldpost.hubs.azure import AzureDialect

        dialect = AzureDialect(hub["host"], device_id, key, utc_ms)
    return dialect, hub["host"], hub["port"]


def make_context(hub, identity, log, port):
    """Return (context, roots): the TLS context of the first connection, and what rolls its roots (roots.Roots).

    Either is None where the configuration says that there shall be none. Raises ConfigError if a certificate or the
    key is none.
    """
    if not hub["tls"]:
        log("warning: hub.tls is false: readings, commands and the password are for anybody to read")
        return None, None
    from fieldpost.links.tls import client_context

    certificate = identity["certificate"] and a2b_base64(identity["certificate"])
    private_key = identity["private_key"] and a2b_base64(identity["private_key"])
    try:
        if not hub["roll_roots"]:
            roots = [a2b_base64(root) for root in identity["ca_der"]]
            return client_context(roots, certificate, private_key), None
        from fieldpost.roots import Roots

        rolled = Roots(
            identity["ca_der"],
            port.stored("roots"),
            lambda roots: client_context(roots, certificate, private_key),
        )
        return rolled.context(), rolled
    except (ValueError, OSError) as error:
        raise ConfigError("identity.json: ca_der, certificate or private_key cannot be used: %s" % error) from None
