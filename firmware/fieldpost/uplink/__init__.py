"""From the ring to the hub, at least once: batches, window, back-off, session."""
