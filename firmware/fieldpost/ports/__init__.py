"""The machine: regions, pins, buses, network, clock and watchdog, one file per port."""
