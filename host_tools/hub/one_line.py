"""Text of strangers on an operator's screen: one line, and no control characters that a terminal would obey."""

from __future__ import annotations

import logging
import re
from typing import Final

LINE_CHARS_MAX: Final = 1000

# C0, DEL and C1 (ECMA-48), the separators that some programs break lines at, and what turns the direction of writing
# (Unicode UAX 9), so that a line reads other than it is.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """Return `text` with control characters written as escapes, and cut off if it is very long."""
    shown = _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text[: LINE_CHARS_MAX + 1])
    return shown if len(text) <= LINE_CHARS_MAX else shown + "..."


class OneLineFormatter(logging.Formatter):
    """Makes a line of the log; a traceback, which is the hub's own, keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.message)
        return super().formatMessage(record)
