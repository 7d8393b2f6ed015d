"""The certificate authorities whose devices the hub knows by their common names."""

from __future__ import annotations

import sqlite3

from cryptography import x509

from host_tools.errors import UserError


class Authorities:
    """PEM certificates by name. Changes are durable when they return."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._pems: dict[str, str] = dict(connection.execute("SELECT name, pem FROM authorities"))

    def add(self, name: str, pem: str) -> None:
        """Trust an authority; UserError if `pem` is none."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (ValueError, x509.ExtensionNotFound):
            is_authority = False
        if not is_authority:
            raise UserError(f"{name}: not the PEM certificate of an authority (basic constraints with CA true)")
        self._connection.execute("INSERT OR REPLACE INTO authorities VALUES (?, ?)", (name, pem))
        self._pems[name] = pem

    def remove(self, name: str) -> None:
        """Trust it no more; nothing happens if it is unknown."""
        self._connection.execute("DELETE FROM authorities WHERE name = ?", (name,))
        self._pems.pop(name, None)

    def names(self) -> list[str]:
        """Return the names of the authorities, sorted."""
        return sorted(self._pems)

    def pems(self) -> list[str]:
        """Return their certificates."""
        return list(self._pems.values())
