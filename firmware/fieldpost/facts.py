"""What a device reports of itself, loaded when it is to be told."""

from fieldpost.limits import READING_FLASH_BYTES


def facts(device, about):
    """Return it as a dict of numbers and texts. device: see assembly. about: pairs, what `agent.info` answers."""
    ring, urgent, agent = device.ring, device.urgent, device.agent
    readings = (ring.sectors - 2) * ring.pages_per_sector * (ring.region.page_bytes // READING_FLASH_BYTES)
    found = dict(about)
    found.update(
        {
            "pending": ring.pending + urgent.pending,
            "lost": ring.lost + urgent.lost,
            "damaged": ring.damaged + urgent.damaged,
            # Each sector has been erased so many times since the ring was made.
            "erase_cycles": max(ring.newest, 0) // ring.sectors,
            "capacity_h": readings * agent.samplers[0].interval_ms // 3_600_000,
            "sensor_failures": agent.sensor_failures,
            "sensors": {
                sampler.name: {"on": sampler.is_on, "interval_ms": sampler.interval_ms, "error": sampler.error}
                for sampler in agent.samplers
            },
            "error": device.session.last_error,
            "failure": device.port.last_failure(),
        }
    )
    return found
