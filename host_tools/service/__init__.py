"""The agent as a systemd service: its package, its configuration, and what an administrator asks of it."""
