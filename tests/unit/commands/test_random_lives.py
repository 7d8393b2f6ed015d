"""Commands through seeded lives of cuts, redeliveries, outages and restarts, judged by a model that shares no code.

The model knows what was sent, when the power went, and each level of each pin with its time. From these alone it
says whether the promises hold:

    a pulse or a toggle turns its pin at most once, and exactly once if it was answered "done"
    what was refused never moved a pin
    each command that the hub could deliver to the end is answered, with one status, and acknowledged
    a pin is away from its safe level for on_max_ms at the most, rests for off_min_ms, and excludes the others
    a pin is safe after a restart, and once the link has been away for long enough
    nothing that was sent before the newest that acted on its pin acts after it
"""

import json
import random

from commands.world import Boot, ListReader, Pin
from fieldpost.commands.policy import Policy
from fieldpost.proof import Proof

PINS = {
    "relay": {"safe": 0, "commands": ["gpio.set", "gpio.pulse", "gpio.toggle", "gpio.pattern"], "pulse_max_ms": 500},
    "pump": {"safe": 0, "commands": ["gpio.set", "gpio.pulse"], "pulse_max_ms": 2_000, "on_max_ms": 300},
    "valve": {
        "safe": 1,
        "commands": ["gpio.set", "gpio.toggle", "gpio.pattern"],
        "pulse_max_ms": 500,
        "off_min_ms": 200,
        "not_with": ["relay"],
    },
}
SAFE_AFTER_S = 1
SETTINGS = {"allow": None, "per_minute": None, "signed": None, "age_s_max": None, "safe_after_s": SAFE_AFTER_S}
STEP_MS = 10
LIFE_STEPS = 1_500
SEEDS = range(12)


class Cut(BaseException):
    """The power goes."""


class CutRing:
    """A ring over a list, in which the power may go before or after a record is on flash."""

    def __init__(self, supply):
        self.records = []
        self.supply = supply

    def append(self, kind, payload):
        self.supply.pass_by()
        self.records.append((kind, bytes(payload)))
        self.supply.pass_by()

    def reader(self):
        return ListReader(self.records)


class Supply:
    """Counts the places where the power can go, and lets it go at one of them."""

    def __init__(self):
        self.left = None

    def pass_by(self):
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.left = None
                raise Cut()


class WatchedPin(Pin):
    """Tells every change with its time; the power may go before or after it."""

    def __init__(self, life, name):
        Pin.__init__(self, PINS[name]["safe"])
        self.life = life
        self.name = name

    def value(self, level=None):
        if level is None:
            return self.level
        self.life.supply.pass_by()
        if level != self.level:
            self.level = level
            self.life.changed(self.name, level)
        self.life.supply.pass_by()


class Sent:
    def __init__(self, number, name, pin, sent_ms, arguments):
        self.id = "c%d" % number
        self.name = name
        self.pin = pin
        self.sent_ms = sent_ms
        self.arguments = arguments
        self.statuses = []
        self.turns = 0
        self.is_acknowledged = False


class Life:
    """One device with its hub, and the model that watches the pins."""

    def __init__(self, seed):
        random.seed(seed)
        self.chance = random
        self.supply = Supply()
        self.ring = CutRing(self.supply)
        self.now_ms = 0
        self.waiting = []  # at the hub, oldest first: not acknowledged
        self.sent = []
        self.broken = []
        self.levels = {name: PINS[name]["safe"] for name in PINS}
        self.since_ms = {name: 0 for name in PINS}
        self.is_powered = False
        self.is_up = True
        self.down_since_ms = 0
        self.is_late = False
        self.cuts = self.restarts = 0
        self.power_up()

    # The device

    def power_up(self):
        """Power returns: the circuit holds every pin at its safe level, and the agent builds itself anew."""
        self.is_powered = False
        for name in PINS:
            if self.levels[name] != PINS[name]["safe"]:
                self.levels[name] = PINS[name]["safe"]
                self.since_ms[name] = self.now_ms
        pins = {name: WatchedPin(self, name) for name in PINS}
        self.offset_ms = self.now_ms
        self.began_ms = self.now_ms
        self.boot = Boot(ring=self.ring, pins=pins, settings=PINS, policy=Policy(SETTINGS, None, "dev1"))
        self.is_powered = True
        commands = self.boot.commands
        commands._answer = self.answered
        commands.done_callback = self.acknowledged
        self.in_flight = set()
        self.restarts += 1

    def answered(self, text):
        self.supply.pass_by()
        answer = json.loads(str(text, "utf-8"))
        for one in self.sent:
            if one.id == answer["id"]:
                one.statuses.append(answer["status"])
                if answer["status"] == "refused":
                    self.judge(one.turns == 0, ("refused, and it moved", one.name, one.pin))
        self.supply.pass_by()

    def acknowledged(self, token, status, answer):
        if not self.is_up or self.chance.random() < 0.3:
            self.in_flight.discard(token)  # the acknowledgement is lost: the hub delivers again
            return
        token.is_acknowledged = True
        self.waiting.remove(token)
        self.in_flight.discard(token)

    def changed(self, name, level):
        """What a meter on the pins sees. The promises about limits are judged here."""
        settings = PINS[name]
        if self.is_powered and level != settings["safe"]:
            rest_ms = settings.get("off_min_ms", 0)
            since_ms = max(self.since_ms[name], self.began_ms)
            self.judge(self.now_ms - since_ms >= rest_ms, (name, "rested too short", self.now_ms - since_ms))
            for other in PINS:
                if name in PINS[other].get("not_with", ()) or other in settings.get("not_with", ()):
                    self.judge(self.levels[other] == PINS[other]["safe"], (name, other, "are away at once"))
            self.blame(name)
        self.levels[name] = level
        self.since_ms[name] = self.now_ms

    def blame(self, name):
        """Find whose effect a turn is: commands act in order, so it is the first that is not answered."""
        for one in self.waiting:
            if not one.statuses:
                self.judge(one.pin == name, (name, "was driven while the command was", one.name, one.pin))
                one.turns += 1
                for newer in self.sent:
                    is_newer = newer.pin == name and newer is not one and newer.sent_ms > one.sent_ms
                    self.judge(not (is_newer and "done" in newer.statuses), (one.id, "acted after", newer.id))
                return
            # Answered and not acknowledged: only a level may come again.
            if one.pin == name and one.name == "gpio.set":
                return
        self.judge(False, (name, "was driven though nothing was asked"))

    def judge(self, holds, what):
        """Keep what is wrong: raised inside an act, it would be one more failure of the hardware to the device."""
        if not holds:
            self.broken.append(what)

    # The world

    def step(self):
        chance = self.chance
        self.now_ms += STEP_MS
        if chance.random() < 0.06 and len(self.waiting) < 6:
            self.send()
        if chance.random() < 0.01:
            self.is_up = not self.is_up
            self.down_since_ms = self.now_ms
            if not self.is_up:
                self.in_flight.clear()
        is_stormy = self.now_ms // 4_000 & 1  # some outages shall last, with nothing else going on
        if is_stormy and chance.random() < 0.04 and self.supply.left is None:
            self.supply.left = chance.randrange(1, 12)
        try:
            if is_stormy and chance.random() < 0.004:
                raise Cut()
            self.run_device()
        except Cut:
            self.cuts += 1
            self.now_ms += chance.randrange(0, 500)
            self.supply.left = None
            while True:
                try:
                    self.power_up()
                    break
                except Cut:
                    self.cuts += 1
        self.judge_time()

    def send(self):
        chance = self.chance
        pin = chance.choice(sorted(PINS))
        name = chance.choice(PINS[pin]["commands"])
        sent_ms = 1_800_000_000_000 + self.now_ms
        if chance.random() < 0.15:
            sent_ms -= chance.randrange(0, 3_000)  # one that took a detour
        arguments = {"pin": pin}
        if name == "gpio.set":
            arguments["value"] = chance.randrange(2) if chance.random() < 0.9 else 7
        elif name == "gpio.pulse":
            arguments["width_ms"] = chance.choice((10, 80, 290, 310, 490))
        elif name == "gpio.pattern":
            arguments["durations_ms"] = [chance.choice((10, 60, 199, 210)) for _ in range(chance.randrange(1, 4))]
        one = Sent(len(self.sent), name, pin, sent_ms, arguments)
        self.sent.append(one)
        self.waiting.append(one)

    def run_device(self):
        boot = self.boot
        uptime_ms = self.now_ms - self.offset_ms
        if self.is_up:
            for one in self.waiting:
                if one not in self.in_flight:
                    proof = Proof(one.sent_ms, None, b"")
                    if boot.commands.submit(one.id, one.name, one.arguments, None, one, proof):
                        self.in_flight.add(one)
        boot.commands.step(uptime_ms)
        boot.commands.link(uptime_ms, self.is_up)

    def judge_time(self):
        """What must be so at every moment, whatever happened."""
        assert self.broken == []
        for name in PINS:
            on_max_ms = PINS[name].get("on_max_ms")
            if on_max_ms is not None and self.levels[name] != PINS[name]["safe"]:
                away_ms = self.now_ms - self.since_ms[name]
                assert away_ms <= on_max_ms + STEP_MS, (name, "is away for", away_ms)
            if not self.is_up and self.now_ms - max(self.down_since_ms, self.began_ms) > SAFE_AFTER_S * 1000 + 50:
                is_idle = self.boot.commands.is_idle()
                assert not is_idle or self.levels[name] == PINS[name]["safe"], (name, "is away without a link")

    def rest(self):
        """Nothing more is sent, nothing fails any more: everything must come to its end."""
        self.is_up = True
        self.supply.left = None
        for _ in range(3_000):
            self.now_ms += STEP_MS
            self.run_device()
            self.judge_time()
            if not self.waiting:
                return
        raise AssertionError("not acknowledged: %s" % [one.id for one in self.waiting])

    def judge_end(self):
        for one in self.sent:
            assert one.is_acknowledged and one.statuses, (one.id, one.name, "was never answered")
            last = set(one.statuses)
            if one.name == "gpio.set":
                assert last <= {"done", "refused", "interrupted"}, one.statuses
                assert "refused" not in last or len(last) == 1, one.statuses
            else:
                assert len(last) == 1 and "failed" not in last, (one.id, one.name, one.statuses)
            once = {"gpio.pulse": 1, "gpio.toggle": 1}.get(one.name)
            if once is not None:
                assert one.turns <= once, (one.id, one.name, "turned its pin", one.turns)


def test_the_promises_hold_through_seeded_lives():
    cuts = commands = interrupted = refused = done = 0
    for seed in SEEDS:
        life = Life(seed)
        try:
            for _ in range(LIFE_STEPS):
                life.step()
            life.rest()
            life.judge_end()
        except AssertionError as error:
            raise AssertionError("seed %d at %d ms: %s" % (seed, life.now_ms, error)) from error
        cuts += life.cuts
        commands += len(life.sent)
        for one in life.sent:
            done += "done" in one.statuses
            refused += "refused" in one.statuses
            interrupted += "interrupted" in one.statuses
    assert cuts > 100 and commands > 500, (cuts, commands)
    assert done > 100 and refused > 50 and interrupted > 10, (done, refused, interrupted)
