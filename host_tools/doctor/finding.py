"""What one look has shown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """about: what was looked at. is_good: None if it could not be told. says: one sentence, with what to do."""

    about: str
    is_good: bool | None
    says: str
