"""The state of the service: one object for `fieldpost top`, and the same numbers for Prometheus.

Prometheus text: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

import json

from fieldpost import __version__
from fieldpost.limits import READING_FLASH_BYTES, RECORD_BYTES_MAX


def state(device):
    """Return the state of `device` as plain data."""
    agent, ring, urgent = device.agent, device.ring, device.urgent
    return {
        "version": __version__,
        "device": device.config["device"],
        "hub": device.config["hub"]["host"],
        "boot": device.boot,
        "uptime_s": device.clock.uptime_ms // 1000,
        "state": device.session.state,
        "error": device.session.last_error,
        "pending": ring.pending,
        "pending_urgent": urgent.pending,
        "next_number": ring.next_number,
        "sent": device.outbox.sent_records,
        "confirmed": device.outbox.acked_records,
        "lost": ring.lost + urgent.lost,
        "damaged": ring.damaged + urgent.damaged,
        "ring_sectors": ring.sectors,
        # One sector is open, one is being reused.
        "capacity": (ring.sectors - 2) * ring.pages_per_sector * (ring.region.page_bytes // READING_FLASH_BYTES),
        "commands_done": device.commands.done,
        "commands_refused": device.commands.refused,
        "commands_failed": device.commands.failed,
        "sensors": [_sensor(sampler) for sampler in agent.samplers if sampler.is_on],
    }


def metrics(found):
    """Return the state as Prometheus text."""
    lines = _head("build_info", "gauge", "Always 1; its labels tell the version and the device.")
    lines.append(
        'fieldpost_build_info{version="%s",device="%s"} 1' % (_escaped(found["version"]), _escaped(found["device"]))
    )
    waiting = found["pending"] + found["pending_urgent"]
    for name, kind, text, value in (
        ("uptime_seconds", "gauge", "Time since the service started.", found["uptime_s"]),
        ("boots_total", "counter", "Starts of the service in the life of its queue.", found["boot"]),
        ("connected", "gauge", "1 while the hub takes records.", int(found["state"] == "ready")),
        ("records_pending", "gauge", "Records that the hub has not confirmed.", waiting),
        ("records_sent_total", "counter", "Records sent since the start.", found["sent"]),
        ("records_confirmed_total", "counter", "Records confirmed by the hub since the start.", found["confirmed"]),
        ("records_lost_total", "counter", "Records reported as lost in the life of the queue.", found["lost"]),
        ("queue_bytes", "gauge", "Size of the queue.", found["ring_sectors"] * 4096),
        ("queue_capacity_readings", "gauge", "Readings for which the queue has room.", found["capacity"]),
        ("queue_damaged_total", "counter", "Stretches of the queue that failed their check.", found["damaged"]),
        ("commands_done_total", "counter", "Commands carried out since the start.", found["commands_done"]),
        ("commands_refused_total", "counter", "Commands refused since the start.", found["commands_refused"]),
        ("commands_failed_total", "counter", "Commands failed since the start.", found["commands_failed"]),
    ):
        lines += _head(name, kind, text)
        lines.append("fieldpost_%s %d" % (name, value))
    lines += _head("sensor_failures_total", "counter", "Failures of a sensor since the start.")
    lines += ["fieldpost_sensor_failures_total%s %d" % (_labels(s), s["failures"]) for s in found["sensors"]]
    lines += _head("sensor_up", "gauge", "1 while a sensor answers.")
    lines += ["fieldpost_sensor_up%s %d" % (_labels(s), not s["error"]) for s in found["sensors"]]
    lines += _head("reading", "gauge", "The newest reading of each quantity.")
    for sensor in found["sensors"]:
        for quantity, value in sensor["values"].items():
            labels = _labels(sensor, quantity=quantity, unit=sensor["units"][quantity])
            lines.append("fieldpost_reading%s %s" % (labels, value))
    return "\n".join(lines) + "\n"


def _head(name, kind, text):
    return ["# HELP fieldpost_%s %s" % (name, text), "# TYPE fieldpost_%s %s" % (name, kind)]


def _labels(sensor, **more):
    labels = dict(sensor=sensor["name"], **more)
    return "{%s}" % ",".join('%s="%s"' % (name, _escaped(value)) for name, value in labels.items())


def _escaped(value):
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _sensor(sampler):
    values, units = {}, {}
    reading_schema = sampler.reading_schema
    if reading_schema is not None and sampler.last_reading is not None:
        buffer = bytearray(RECORD_BYTES_MAX)
        length = reading_schema.pack(buffer, sampler.last_reading)
        values = json.loads("{" + reading_schema.json_members(memoryview(buffer)[:length]) + "}")
        units = {part.split(",")[0]: part.split(",")[3] for part in reading_schema.text.split(";")}
    return {
        "name": sampler.name,
        "interval_ms": sampler.interval_ms,
        "failures": sampler.failures,
        "error": sampler.error,
        "values": values,
        "units": units,
    }
