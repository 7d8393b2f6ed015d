"""The tokens of a text, and other spellings in their place: what all that makes the firmware small is made of."""

import io
import tokenize
from collections.abc import Iterable, Iterator

Edit = tuple[int, int, int, str]
"""Line (from 1), first and last column (the last not included), and what to write there."""


def tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    """Yield the tokens of `source`."""
    return tokenize.generate_tokens(io.StringIO(source).readline)


def names(source: str) -> Iterator[tokenize.TokenInfo]:
    """Yield the tokens that are names, keywords among them."""
    return (token for token in tokens(source) if token.type == tokenize.NAME)


def spelled(token: tokenize.TokenInfo, new: str) -> Edit:
    """Return the edit that writes `new` in place of a token."""
    return *token.start, token.end[1], new


def edit(lines: list[str], edits: Iterable[Edit]) -> None:
    """Write in `lines` what `edits` say; no line moves."""
    for row, start, end, text in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
