"""docs/settings.md names every key that the shapes of the configuration files take, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fieldpost import config
from fieldpost.daemon import settings as daemon
from fieldpost.shapes import Fields, ListOf, MapOf, Optional

from host_tools.config import secrets, settings

_PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def keys(shape: Any, before: str = "") -> Iterator[str]:
    """Yield the dotted name of everything in a shape that holds a value; NAME stands for any name."""
    if isinstance(shape, Optional):
        shape = shape.shape
    if isinstance(shape, ListOf) and isinstance(shape._shape, Fields):
        shape = shape._shape
    if isinstance(shape, Fields):
        for key, inner in shape._fields:
            yield from keys(inner, f"{before}.{key}" if before else key)
    elif isinstance(shape, MapOf):
        yield from keys(shape._shape, f"{before}.NAME")
    else:
        yield before


@pytest.mark.parametrize(
    ("file", "shapes"),
    [
        ("fieldpost.toml", {"": settings._SHAPE}),
        ("fieldpost.secrets.toml", {"": secrets._SHAPE}),
        ("config.json", {"": config._config_shape(), "service": daemon._SERVICE}),
        ("identity.json", {"": config._identity_shape()}),
    ],
)
def test_every_key_is_documented_and_nothing_else(file: str, shapes: dict[str, Any]) -> None:
    section = _PAGE.read_text(encoding="utf-8").partition(f"\n## {file}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    known = {key for before, shape in shapes.items() for key in keys(shape, before)}
    if file == "config.json":  # its topics are those of fieldpost.toml
        known = {key.partition(".topics.")[0] + ".topics" if ".topics." in key else key for key in known}
    assert told == known
