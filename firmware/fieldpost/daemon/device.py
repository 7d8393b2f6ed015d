"""A Device with as many sensors as its configuration names (see daemon.sensors)."""

from fieldpost.assembly import Device
from fieldpost.daemon.sensors import catalog
from fieldpost.errors import SensorError


class ServiceDevice(Device):
    """As Device. config: as `daemon.settings.load` returns it."""

    def __init__(self, config, *rest):
        self.config = config
        super().__init__(config, *rest)

    def add_sensors(self):
        first, *others = self.config["sensors"]
        self.agent.samplers[0].name = catalog.name_of(first)
        for settings in others:
            self._add(catalog.name_of(settings), settings, False)
        spare = catalog.spare([sampler.name for sampler in self.agent.samplers], self.config["sample_interval_ms"])
        for name in spare:
            self._add(name, spare[name], True)

    def _add(self, name, settings, is_spare):
        self.agent.add_sensor(name, lambda: self._make(settings), settings["interval_ms"], is_spare)

    def poll(self):
        """Let the sensors look that count between readings."""
        for sampler in self.agent.samplers:
            poll = getattr(sampler.sensor, "poll", None)
            if poll is not None:
                try:
                    poll()
                except SensorError:
                    sampler.next_ms = self.clock.uptime_ms  # reading it now tells, counts and tries again

    @property
    def link_class(self):
        """The class of the link that the configuration names."""
        if self.config["service"]["link"] == "umqtt":
            return Device.link_class
        from fieldpost.links.paho import PahoLink

        return PahoLink

    def make_sensor(self):
        return self._make(self.config["sensors"][0])

    def _make(self, settings):
        return catalog.make(self.port, settings, self.config["plug_ins"])
