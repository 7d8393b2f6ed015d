"""Builds those parts of a device that are there only while they have work: its settings' rules, and its twin.

device: see assembly.
"""

from fieldpost.limits import READING_FLASH_BYTES


def make_settings(device, store, lane):
    """Return the Settings. store: where they are kept. lane: of the readings."""
    from fieldpost.commands.settings import Settings

    agent = device.agent
    interval_ms, batch_records, batch_age_ms, trial_ms = device.defaults
    defaults = {
        "sample_interval_ms": interval_ms,
        "batch_records": batch_records,
        "batch_age_ms": batch_age_ms,
        "thresholds": {},
        "sensors": {},
    }

    def apply(settings):
        agent.set_rhythm(settings["sample_interval_ms"], settings["sensors"])
        if settings["thresholds"] or agent.thresholds is not None:
            from fieldpost.thresholds import Thresholds

            if agent.thresholds is None:
                agent.thresholds = Thresholds()
            agent.thresholds.set(settings["thresholds"])
        lane.set_batch(settings["batch_records"], settings["batch_age_ms"])

    return Settings(
        store,
        defaults,
        apply,
        lambda: (agent.readings_taken, lane.acked_records),
        {sampler.name: not sampler.is_spare for sampler in agent.samplers},
        trial_ms,
    )


def make_twin(device, channel, about):
    """Return the TwinRequests of a channel. about(): pairs, what `agent.info` answers."""
    from fieldpost.commands.desired import Desired
    from fieldpost.hubs.azure_twin_requests import TwinRequests

    model = Desired(
        device.commands,
        device.outputs,
        device.pins,
        device.settings,
        lambda: _facts(device, about()),
        channel,
    )
    return TwinRequests(channel, model)


def _facts(device, about):
    """Return what the device reports of itself, as a dict of numbers and texts."""
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
