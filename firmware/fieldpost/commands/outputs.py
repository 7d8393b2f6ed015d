"""Pins by their configured names: levels, pulses and the safe level.

Every output goes to its safe level when this is built and whenever `make_safe` is called. A pin is only
written when its level changes, so that whoever counts edges counts effects. A pulse turns the level over
for its width and back; `step` ends it, whatever has become of the link or of the one who asked for it.

settings: the configuration's `pins`: {name: {"direction", "safe", "commands", "pulse_max_ms"}}
pins: {name: object with value() and value(level)}, like machine.Pin
"""


class Outputs:
    """All pins of a device, inputs included: those can only be read."""

    def __init__(self, settings, pins):
        self._lanes = {name: _Lane(pins[name], settings[name]["safe"]) for name in settings}
        self.make_safe()

    def make_safe(self):
        """Set every output to its safe level now; a pulse under way is cut short."""
        for lane in self._lanes.values():
            lane.make_safe()

    def set(self, name, level):
        """Set output `name` to `level` (0 or 1); nothing happens on the pin if it is there already."""
        self._lanes[name].set(level)

    def get(self, name):
        """Return the level that the pin itself reports, 0 or 1."""
        return 1 if self._lanes[name].pin.value() else 0

    def pulse(self, name, width_ms, now_ms):
        """Turn the level of output `name` over for `width_ms`."""
        self._lanes[name].pulse(now_ms + width_ms)

    def is_pulsing(self, name):
        """Return whether a pulse on `name` is under way."""
        return self._lanes[name].pulse_end_ms is not None

    def was_cut_short(self, name):
        """Return whether `make_safe` ended the last pulse on `name` before its time."""
        return self._lanes[name].cut_short

    def step(self, now_ms):
        """End the pulses that are due."""
        for lane in self._lanes.values():
            if lane.pulse_end_ms is not None and now_ms >= lane.pulse_end_ms:
                lane.end_pulse()

    def wait_ms(self, now_ms):
        """Return how many ms remain until a pulse is due to end, or None if there is none."""
        wait_ms = None
        for lane in self._lanes.values():
            if lane.pulse_end_ms is not None and (wait_ms is None or lane.pulse_end_ms - now_ms < wait_ms):
                wait_ms = max(0, lane.pulse_end_ms - now_ms)
        return wait_ms


class _Lane:
    """One pin, the level it was last given, and the pulse on it. safe: None for an input.

    A write that fails (OSError) leaves the level unknown, so that the next one is not spared.
    """

    def __init__(self, pin, safe):
        self.pin = pin
        self.pulse_end_ms = None
        self.cut_short = False
        self._safe = safe
        self._level = None
        self._rest_level = None

    def set(self, level):
        """Write `level` unless the pin has it; a pulse under way loses its end."""
        self.pulse_end_ms = None
        if level == self._level:
            return
        self._level = None
        self.pin.value(level)
        self._level = level

    def pulse(self, end_ms):
        if self.pulse_end_ms is None:
            self._rest_level = self._safe if self._level is None else self._level
        # Else the write of the pulse before failed and its end is still owed: the same rest holds for both.
        self.cut_short = False
        try:
            self.set(1 - self._rest_level)
        finally:
            # Also after a failed write: whatever the pin did then, it is turned back.
            self.pulse_end_ms = end_ms

    def end_pulse(self):
        self.set(self._rest_level)

    def make_safe(self):
        if self._safe is None:
            return
        self.cut_short = self.pulse_end_ms is not None
        # What the pin did before this boot, or at other hands, is not known: this write is never spared.
        self._level = None
        self.set(self._safe)
