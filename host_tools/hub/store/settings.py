"""Texts that the hub keeps by name: keys of its policies, its scope, the name it goes by."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable


class Settings:
    """Changes are durable when they return."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str, default: str = "") -> str:
        """Return the text of that name."""
        row = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set(self, name: str, value: str) -> None:
        """Keep a text."""
        self._connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def get_or_make(self, name: str, make: Callable[[], str]) -> str:
        """Return the text of that name, made now if there is none."""
        value = self.get(name)
        if not value:
            value = make()
            self.set(name, value)
        return value
