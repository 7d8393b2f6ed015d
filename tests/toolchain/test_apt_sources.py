"""Both formats of apt's sources, as distributions and their users write them (sources.list(5))."""

from pathlib import Path

from host_tools.toolchain import apt_sources
from host_tools.toolchain.apt_sources import Archive

MAIN = ("main",)


def test_lines_with_options_comments_and_tabs() -> None:
    text = """\
# deb http://old.example/debian bookworm main
deb http://mirror.example/debian/ bookworm main contrib # the usual
deb\t[ arch=amd64  signed-by=/keys/a.gpg ]  https://vendor.example/apt  stable  main
deb-src http://mirror.example/debian bookworm main
"""
    assert apt_sources.parse_lines(text) == [
        Archive("http://mirror.example/debian", ("bookworm",), ("main", "contrib"), None),
        Archive("https://vendor.example/apt", ("stable",), MAIN, "/keys/a.gpg"),
    ]


def test_stanzas_with_comments_folded_fields_and_several_uris() -> None:
    text = """\
Types: deb deb-src
# a snapshot
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /keys/debian.gpg

Types: deb-src
URIs: http://three.example/debian
Suites: bookworm
Components: main

Types: deb
Enabled: no
URIs: http://four.example/debian
Suites: bookworm
Components: main
"""
    suites = ("bookworm", "bookworm-updates")
    assert apt_sources.parse_stanzas(text) == [
        Archive("http://one.example/debian", suites, MAIN, "/keys/debian.gpg"),
        Archive("http://two.example/debian", suites, MAIN, "/keys/debian.gpg"),
    ]


def test_a_key_written_into_the_stanza_is_no_keyring_file() -> None:
    text = """\
Types: deb
URIs: http://one.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGE
 -----END PGP PUBLIC KEY BLOCK-----
"""
    assert [archive.keyring for archive in apt_sources.parse_stanzas(text)] == [None]


def test_files_of_both_formats_are_read_and_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (folder / "a.list").write_text("deb http://two.example/debian bookworm main\n")
    (folder / "b.sources").write_text("Types: deb\nURIs: http://three.example/debian\nSuites: bookworm\n")
    (folder / "c.list.save").write_text("deb http://four.example/debian bookworm main\n")
    hosts = [archive.uri.split("/")[2] for archive in apt_sources.read(tmp_path)]
    assert hosts == ["one.example", "two.example", "three.example"]


def test_a_machine_without_apt_has_no_archives(tmp_path: Path) -> None:
    assert apt_sources.read(tmp_path / "absent") == []
