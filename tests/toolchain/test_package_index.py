"""An archive comes from whatever index pip is configured for, and only if it is the very file that is wanted."""

import hashlib
from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.toolchain import package_index, umqtt

CONTENT = b"an archive without build files"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder (PEP 503), and pip configured for it and nothing else."""
    page = tmp_path / "simple" / "some-thing"
    page.mkdir(parents=True)
    (page / "some_thing-1.3.tar.gz").write_bytes(CONTENT)
    (page / "index.html").write_text('<a href="some_thing-1.3.tar.gz">some_thing-1.3.tar.gz</a>')
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    return tmp_path / "simple"


def test_the_configured_index_is_asked() -> None:
    assert package_index.download("some.thing", "1.3", SHA256) == CONTENT


def test_another_file_of_that_name_is_refused() -> None:
    with pytest.raises(UserError, match=f"not the file .* {SHA256}, expected {'0' * 64}.*nothing was kept"):
        package_index.download("some.thing", "1.3", "0" * 64)


def test_a_version_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"does not offer some.thing 9.9: check the network and pip config"):
        package_index.download("some.thing", "9.9", SHA256)


def test_umqtt_is_kept_and_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = umqtt.find_or_download()  # tests/conftest.py has seen to it
    assert b"class MQTTClient" in (kept / "umqtt" / "simple.py").read_bytes()
    assert umqtt.find_or_download() == kept  # although this test's index does not have it
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"does not offer micropython-umqtt.simple 1.3.4"):
        umqtt.find_or_download(lambda line: None)
