"""fieldpost.toml and its secrets."""

from pathlib import Path

from host_tools.config import Settings, read_secrets
from host_tools.doctor.finding import Finding
from host_tools.errors import UserError


def look(settings: Settings) -> list[Finding]:
    """Return what is to be said about settings that could be read."""
    found = []
    if settings.path is None:
        found.append(Finding("settings", None, "there is no fieldpost.toml here: the defaults hold (`fieldpost init`)"))
    else:
        found.append(Finding("settings", True, f"{settings.path} is right"))
    folder = settings.path.parent if settings.path is not None else Path()
    if not settings.networks:
        found.append(
            Finding("Wi-Fi", None, "no network is named in fieldpost.toml: boards get those of their identity")
        )
        return found
    try:
        read_secrets(folder).for_networks(settings.networks)
        found.append(Finding("Wi-Fi", True, f"every network has a password: {', '.join(settings.networks)}"))
    except UserError as error:
        found.append(Finding("Wi-Fi", False, str(error)))
    return found
