"""Which package archives this machine uses, as its own apt configuration says (sources.list(5)).

Reads both formats: one line per entry (`*.list`) and deb822 stanzas (`*.sources`). Asks nobody and judges
nothing: whether an archive holds what is wanted, apt finds out by its signature.
"""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """One archive. uri: without a trailing slash. keyring: the file that verifies it, if one is named."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str | None


def read(etc_apt: Path = Path("/etc/apt")) -> list[Archive]:
    """Return the enabled archives of binary packages, file by file. Unreadable files are skipped."""
    archives: list[Archive] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        parse = {".list": parse_lines, ".sources": parse_stanzas}.get(path.suffix)
        if parse is None:
            continue
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        archives += parse(text)
    return archives


def parse_lines(text: str) -> list[Archive]:
    """Return the archives of the one-line format: `deb [option=value ...] uri suite component ...`."""
    archives = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match is None:
            continue
        options, uri, suite, components = match.groups()
        signed_by = re.search(r"signed-by=(\S+)", options or "", re.IGNORECASE)
        archives.append(_archive(uri, (suite,), tuple(components.split()), signed_by.group(1) if signed_by else None))
    return archives


def parse_stanzas(text: str) -> list[Archive]:
    """Return the archives of the deb822 format; a stanza with several URIs gives one archive for each."""
    archives = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        enabled = fields.get("enabled", "yes").lower() != "no"
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            archives.append(
                _archive(
                    uri,
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    fields.get("signed-by"),
                )
            )
    return archives


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            fields[name] = fields.get(name, "") + "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _archive(uri: str, suites: tuple[str, ...], components: tuple[str, ...], signed_by: str | None) -> Archive:
    # Signed-By may also hold a fingerprint or a whole key: then apt's own default keyring decides.
    keyring = signed_by if signed_by and signed_by.startswith("/") and "," not in signed_by else None
    return Archive(uri.rstrip("/"), suites, components, keyring)
