"""The agent as a service of a Linux machine: settings, systemd, journal, loop. Boards do without."""
