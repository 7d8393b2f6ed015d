"""Pins by their configured names: levels, pulses, patterns, and the limits that hold whoever asks.

Every output goes to its safe level when this is built and whenever `make_safe` is called. A pin is only
written when its level changes, so that whoever counts edges counts effects. A pattern turns the level over
for each of its durations and ends at the level before it; `step` moves it on and ends what has been away from
its safe level for too long, whatever has become of the link or of the one who asked.

settings: the configuration's `pins`: {name: {"direction", "safe", "commands", "pulse_max_ms", "on_max_ms",
"off_min_ms", "not_with"}}
pins: {name: object with value() and value(level)}, like machine.Pin. The level of a PWM pin is 0 or a tuple of
duty in thousandths and frequency in hertz. A pin that measures has read() -> (0 to 65535, microvolts).
"""

from fieldpost.errors import Mismatch


class Outputs:
    """All pins of a device, inputs included: those can only be read.

    forced: names of pins that were returned to their safe level because of on_max_ms, for whoever reports it.
    """

    def __init__(self, settings, pins, now_ms=0):
        self._lanes = {name: _Lane(pins[name], settings[name], now_ms) for name in settings}
        for name in settings:
            for other in settings[name].get("not_with") or ():
                self._lanes[name].not_with.append(other)
                self._lanes[other].not_with.append(name)
        self.forced = []
        self.make_safe(now_ms)

    def make_safe(self, now_ms):
        """Set every output to its safe level now; a pattern under way is cut short."""
        for lane in self._lanes.values():
            lane.make_safe(now_ms)

    def check(self, name, level, now_ms):
        """Raise Mismatch, with the reason, if output `name` may not go to `level` now. Touches nothing."""
        lane = self._lanes[name]
        if level == lane.safe or level == lane.level:
            return
        for other in lane.not_with:
            if self._lanes[other].is_away or self._lanes[other].turn_ms is not None:
                raise Mismatch("%s may not leave its safe level while %s is away from its own" % (name, other))
        rest_ms = lane.off_min_ms - (now_ms - lane.since_ms)
        if rest_ms > 0:
            raise Mismatch("%s must rest for %d ms more" % (name, rest_ms))

    def check_pattern(self, name, durations_ms, now_ms):
        """Raise Mismatch, with the reason, if output `name` may not follow this pattern now. Touches nothing."""
        lane = self._lanes[name]
        first = 1 - lane.rest_level
        self.check(name, first, now_ms)
        for index in range(len(durations_ms)):
            is_first = index & 1 == 0
            duration_ms = durations_ms[index]
            if (first if is_first else 1 - first) != lane.safe:
                if lane.on_max_ms is not None and duration_ms > lane.on_max_ms:
                    raise Mismatch(
                        "%s may be away from its safe level for %d ms, not for %d" % (name, lane.on_max_ms, duration_ms)
                    )
            elif duration_ms < lane.off_min_ms and (is_first or index + 1 < len(durations_ms)):
                raise Mismatch("%s must rest for %d ms, not for %d" % (name, lane.off_min_ms, duration_ms))

    def set(self, name, level, now_ms):
        """Set output `name` to `level` (0 or 1); nothing happens on the pin if it is there already."""
        self.check(name, level, now_ms)
        self._lanes[name].set(level, now_ms)

    def get(self, name):
        """Return the level that the pin itself reports, 0 or 1."""
        return 1 if self._lanes[name].pin.value() else 0

    def level(self, name):
        """Return the level that `name` was last given, a pattern under way aside; for an input, what it reports."""
        lane = self._lanes[name]
        return self.get(name) if lane.safe is None else lane.rest_level

    def measure(self, name):
        """Return what the pin measures: (0 to 65535, microvolts)."""
        return self._lanes[name].pin.read()

    def rest_level(self, name):
        """Return the level that output `name` has when no pattern is under way."""
        return self._lanes[name].rest_level

    def pulse(self, name, durations_ms, now_ms):
        """Turn the level of output `name` over for the first duration, back for the second, and so on."""
        self.check_pattern(name, durations_ms, now_ms)
        self._lanes[name].pulse(durations_ms, now_ms)

    def is_pulsing(self, name):
        """Return whether a pattern on `name` is under way."""
        return self._lanes[name].turn_ms is not None

    def was_cut_short(self, name):
        """Return whether `make_safe` or on_max_ms ended the last pattern on `name` before its time."""
        return self._lanes[name].cut_short

    def step(self, now_ms):
        """Move patterns on, and end what has lasted too long."""
        for name in self._lanes:
            lane = self._lanes[name]
            if lane.turn_ms is not None and now_ms >= lane.turn_ms:
                lane.turn(now_ms)
            if lane.on_max_ms is not None and lane.is_overdue(now_ms):
                lane.make_safe(now_ms)
                self.forced.append(name)

    def wait_ms(self, now_ms):
        """Return how many ms remain until `step` has something to do, or None if there is nothing."""
        wait_ms = None
        for lane in self._lanes.values():
            if lane.turn_ms is None and lane.on_max_ms is None:
                continue  # most of them, most of the time
            due_ms = lane.due_ms()
            if due_ms is not None and (wait_ms is None or due_ms - now_ms < wait_ms):
                wait_ms = max(0, due_ms - now_ms)
        return wait_ms


class _Lane:
    """One pin, the level it was last given, and the pattern on it. safe: None for an input.

    A write that fails (OSError) leaves the level unknown, so that the next one is not spared.
    """

    def __init__(self, pin, settings, now_ms):
        self.pin = pin
        self.safe = settings["safe"]
        self.on_max_ms = settings.get("on_max_ms")
        self.off_min_ms = settings.get("off_min_ms") or 0
        self.not_with = []
        self.level = None
        self.since_ms = now_ms  # when it last came to its safe level, or left it; before this boot is not known
        self.turn_ms = None
        self.cut_short = False
        self._durations_ms = ()
        self._next = 0
        self._rest_level = None

    @property
    def is_away(self):
        """Whether the pin is, or may be, at another level than its safe one."""
        return self.safe is not None and self.level != self.safe

    @property
    def rest_level(self):
        if self.turn_ms is not None:
            return self._rest_level
        return self.safe if self.level is None else self.level

    def set(self, level, now_ms):
        """Write `level` unless the pin has it; a pattern under way is over."""
        self.turn_ms = None
        self._write(level, now_ms)

    def pulse(self, durations_ms, now_ms):
        # A pattern before this one whose write failed still owes its end: the same rest holds for both.
        self._rest_level = self.rest_level
        self._durations_ms = durations_ms
        self._next = 1
        self.cut_short = False
        try:
            self._write(1 - self._rest_level, now_ms)
        finally:
            # Also after a failed write: whatever the pin did then, it is turned back.
            self.turn_ms = now_ms + durations_ms[0]

    def turn(self, now_ms):
        if self._next >= len(self._durations_ms):
            self._write(self._rest_level, now_ms)
            self.turn_ms = None
            return
        level = self._rest_level if self._next & 1 else 1 - self._rest_level
        self._write(level, now_ms)
        self.turn_ms += self._durations_ms[self._next]
        self._next += 1

    def is_overdue(self, now_ms):
        return self.is_away and now_ms - self.since_ms >= self.on_max_ms

    def due_ms(self):
        due_ms = self.turn_ms
        if self.on_max_ms is not None and self.is_away:
            end_ms = self.since_ms + self.on_max_ms
            due_ms = end_ms if due_ms is None else min(due_ms, end_ms)
        return due_ms

    def make_safe(self, now_ms):
        if self.safe is None:
            return
        self.cut_short = self.turn_ms is not None
        self.turn_ms = None
        was_away = self.is_away
        # What the pin did before this boot, or at other hands, is not known: this write is never spared.
        self.level = None
        self.pin.value(self.safe)
        self.level = self.safe
        if was_away:
            self.since_ms = now_ms

    def _write(self, level, now_ms):
        if level == self.level:
            return
        was_away = self.is_away
        self.level = None
        self.pin.value(level)
        self.level = level
        if self.is_away != was_away:
            self.since_ms = now_ms
