"""What a bench may let go wrong at the hub, on purpose and from a seed."""

from __future__ import annotations

import random


class Faults:
    """c2d_puback_loss: share of a device's acknowledgements of commands that never arrive (0 to 1).

    redeliver_s: how long after a lost acknowledgement the command is delivered again on a living connection.
    redelivered: acknowledgements lost so far; each brings its command again.
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.c2d_puback_loss = 0.0
        self.redeliver_s = 1.0
        self.redelivered = 0

    def loses_puback(self) -> bool:
        """Decide whether the acknowledgement that just came is lost, and count it if so."""
        is_lost = self.random.random() < self.c2d_puback_loss
        self.redelivered += is_lost
        return is_lost
