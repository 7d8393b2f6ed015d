"""Texts that are kept are those that would be made: whatever has a say in them changes where they are looked for."""

from pathlib import Path

import pytest

from host_tools.toolchain import cache, kept_texts


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_they_are_made_once_and_again_when_anything_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, tools = tmp_path / "a.py", tmp_path / "tools"
    source.write_text("one")
    tools.mkdir()
    (tools / "shrink.py").write_text("how")
    monkeypatch.setattr(kept_texts, "_TOOLS", tools)
    made: list[str] = []

    def ask(variant: str = "v", **more: Path) -> str:
        def make() -> dict[str, str]:
            made.append(source.read_text())
            return {"a": "ä" + made[-1]}

        return kept_texts.kept_or_made({"a": source, **more}, variant, make)["a"]

    assert [ask(), ask()] == ["äone"] * 2 and made == ["one"]
    source.write_text("two")
    assert ask() == "ätwo" and len(made) == 2
    assert ask("w") == "ätwo" and len(made) == 3
    ask(b=source)
    assert len(made) == 4
    (tools / "shrink.py").write_text("otherwise")
    ask()
    assert len(made) == 5
    source.write_text("one")
    (tools / "shrink.py").write_text("how")
    assert ask() == "äone" and len(made) == 5
    for entry in (cache.folder() / "firmware-texts").glob("*.json"):
        entry.write_text("{half of")
    assert ask() == "äone" and len(made) == 6


def test_only_the_newest_stay(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    for number in range(20):
        source.write_text(str(number))
        kept_texts.kept_or_made({"a": source}, "v", dict)
    assert len(list((cache.folder() / "firmware-texts").iterdir())) == 8
