"""A Device with as many sensors as its configuration names (see daemon.sensors)."""

from fieldpost.assembly import Device
from fieldpost.daemon.sensors import catalog
from fieldpost.errors import SensorError


class ServiceDevice(Device):
    """As Device. config: as `daemon.settings.load` returns it."""

    def __init__(self, config, identity, port, log):
        super().__init__(config, identity, port, log)
        first, *others = config["sensors"]
        self.agent.samplers[0].name = _name(first)
        for settings in others:
            self.agent.add_sensor(
                _name(settings), lambda settings=settings: self._make(settings), settings["interval_ms"]
            )

    def poll(self):
        """Let the sensors look that count between readings."""
        for sampler in self.agent.samplers:
            poll = getattr(sampler.sensor, "poll", None)
            if poll is not None:
                try:
                    poll()
                except SensorError:
                    sampler.next_ms = self.clock.uptime_ms  # reading it now tells, counts and tries again

    def _link_class(self):
        if self.config["service"]["link"] == "umqtt":
            return super()._link_class()
        from fieldpost.links.paho import PahoLink

        return PahoLink

    def _make_sensor(self):
        return self._make(self.config["sensors"][0])

    def _make(self, settings):
        return catalog.make(self.port, settings, self.config["plug_ins"])


def _name(settings):
    return settings.get("label") or settings["driver"]
