"""What may be chosen of the hub's behaviour: where Microsoft lets an owner choose, or tells nothing for certain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Defaults are the real hub's, as far as they are known.

    c2d_ttl_s: life of a command that names no expiry (1 minute to 2 days).
    c2d_lock_s: how long a delivered command is the device's alone; fixed at the real hub.
    c2d_max_delivery_count: 1 to 100.
    c2d_counts_every_return: whether a command that comes back unacknowledged counts as a failed delivery. Microsoft's
        current page counts only what the device abandons, which MQTT cannot say; older pages count every return.
    sas_grace_s: how long a token is good after it has expired; the real hub lets it live for some minutes.
    patience: how many times longer than usual the hub waits for a device, that is for TLS, for CONNECT, in its silence
        and for the lock of a command; for devices whose seconds are longer than ours (emulated chips).
    """

    c2d_ttl_s: float = 3600.0
    c2d_lock_s: float = 60.0
    c2d_max_delivery_count: int = 10
    c2d_counts_every_return: bool = False
    sas_grace_s: float = 0.0
    patience: float = 1.0
