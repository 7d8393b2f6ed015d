"""What of the desired state outlives the code that converges to it (see desired)."""

from fieldpost.limits import DESIRED_KEEP_MS, DESIRED_RETRY_MS, TWIN_LEVEL_INTERVAL_MS


class Wish:
    """A desired level and what came of it. status: None while its command is under way; due_ms: when to ask (again)."""

    def __init__(self, value, version):
        self.value = value
        self.version = version
        self.status = None
        self.reason = None
        self.due_ms = 0
        self.delay_ms = DESIRED_RETRY_MS
        self.is_final = False  # whether no other moment could change the answer
        self.shown = None  # the level that was reported, as `level` returns it


class Wishes:
    """outputs, settings (kept_settings): see those modules. pins: the configuration's. by_pin: {name: Wish}.

    channel: who is told when a command is finished. under_way: commands that are not. gone: pins that are desired no
    longer, until that is reported. is_changed: whether there is news to report.
    """

    def __init__(self, outputs, pins, settings):
        self.channel = None
        self.by_pin = {}
        self.gone = []
        self.under_way = 0
        self.is_changed = True
        self.settings_seen = -1  # the revision that was reported
        self.next_report_ms = 0
        self._outputs = outputs
        self._pins = pins
        self._settings = settings
        self._next_level_ms = 0

    def level(self, name):
        """Return the level of a pin as outputs have it, None for one that has none."""
        pin = self._pins.get(name)
        return None if pin is None or pin["direction"] == "adc" else self._outputs.level(name)

    def connected(self):
        """A new connection: report everything, and let every pin converge again."""
        self.is_changed = True
        for wish in self.by_pin.values():
            if not wish.is_final and wish.status is not None:
                wish.due_ms = 0

    def has_news(self, now_ms):
        """Return whether there is something to report."""
        if now_ms >= self._next_level_ms:
            self._next_level_ms = now_ms + TWIN_LEVEL_INTERVAL_MS
            for name, wish in self.by_pin.items():
                if wish.status is not None and wish.shown != self.level(name):
                    self.is_changed = True
        return self.is_changed or self._settings.revision != self.settings_seen or now_ms >= self.next_report_ms

    def is_due(self, now_ms):
        """Return whether there is something to do now."""
        return self.has_news(now_ms) or self._is_due(now_ms)

    def is_at_rest(self, now_ms):
        """Return whether nothing is under way, nor to be done soon."""
        return not self.under_way and not self.is_due(now_ms) and not self._is_due(now_ms + DESIRED_KEEP_MS)

    def _is_due(self, now_ms):
        return any([wish.due_ms is not None and now_ms >= wish.due_ms for wish in self.by_pin.values()])
