"""Hardware below the driver: flash, sensor, pins, terminal and power switch of an emulated board."""
