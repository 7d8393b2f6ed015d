"""How a long piece of work says how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Takes lines and shares; shows them to whoever waits."""

    def __call__(self, line: str) -> None:
        """Tell that something begins, or has happened."""

    def share(self, stage: str, share: float) -> None:
        """Tell that `share` of `stage`, 0 to 1, is done."""
