"""A command across power cuts: at every flash operation, before and after every write to its pin.

The judge sees what the outside can see: edges of the pin, answers in the ring, acknowledgements.
"""

import json

from commands.world import PINS, Boot, Pin
from fieldpost.limits import JOURNAL_SECTORS_MIN, RECORD_BYTES_MAX
from fieldpost.ring.log import Ring
from fieldpost.ring.region import SubRegion

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024  # four pages, so that sectors are opened and erased within a few commands
ANSWER_SECTORS = 4
WIDTH_MS = 30
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
ARGUMENTS = {"gpio.set": {"pin": "relay", "value": 1}, "gpio.pulse": {"pin": "relay", "width_ms": WIDTH_MS}}
# How much of a program is on flash when the power goes: nothing, a part, all of it.
SHARES_BYTES = (0, -1, 1 << 20)


class FailingPin(Pin):
    """A pin during whose `cut_at`-th write from now the power goes: before the edge, or right after it."""

    def __init__(self, level):
        Pin.__init__(self, level)
        self.cut_at = -1
        self.is_after = False
        self.was_cut = False

    def value(self, level=None):
        if level is None:
            return self.level
        self.cut_at -= 1
        if self.cut_at == -1 and not self.is_after:
            self.was_cut = True
            raise PowerCut("before the edge")
        Pin.value(self, level)
        if self.cut_at == -1:
            self.was_cut = True
            raise PowerCut("after the edge")


class Device:
    """Flash that stays, and boots that come and go."""

    def __init__(self, image=None):
        size = (JOURNAL_SECTORS_MIN + ANSWER_SECTORS) * SECTOR_BYTES
        memory = bytearray(b"\xff" * size) if image is None else bytearray(image)
        self.flash = NorFlash(memory, sector_bytes=SECTOR_BYTES)
        self.edges_to_one = 0
        self.acknowledged = []
        self.boots = 0
        self.erases_before_cut = 0
        self.begin()

    def begin(self):
        """Power up: outputs are low by the circuit, and everything but the flash is new."""
        self.flash.power_up()
        self.boots += 1
        self.journal_ring = Ring(SubRegion(self.flash, 0, JOURNAL_SECTORS_MIN))
        self.answer_ring = Ring(SubRegion(self.flash, JOURNAL_SECTORS_MIN, ANSWER_SECTORS))
        pins = {name: FailingPin(PINS[name]["safe"] or 0) for name in PINS}
        self.relay = pins["relay"]
        self.boot = Boot(ring=self.journal_ring, pins=pins)
        self.boot.commands._answer = lambda text: self.answer_ring.append(4, text)

    def deliver(self, command_id, name):
        """Send a command and run it to its end; PowerCut if that never comes."""
        try:
            self.boot.commands.submit(command_id, name, ARGUMENTS[name], None, command_id)
            self.boot.run(WIDTH_MS + 20)
        finally:
            self.edges_to_one += self.relay.edges.count(1)
            self.relay.edges.clear()
        self.acknowledged += self.boot.acknowledged
        self.boot.acknowledged.clear()

    def answers(self, command_id):
        """Return the statuses of all answers to a command that the ring holds."""
        reader = Ring(self.answer_ring.region).reader()
        statuses = []
        while True:
            length = reader.next(BUFFER)
            if length < 0:
                return statuses
            answer = json.loads(str(BUFFER[:length], "utf-8"))
            if answer["id"] == command_id:
                statuses.append(answer["status"])


def image_after(commands):
    """Return the flash of a device that has done so many other commands."""
    device = Device()
    for index in range(commands):
        device.deliver("before%d" % index, "gpio.set")
    return bytes(device.flash.memory)


def arm_flash(operation, share_bytes):
    def arm(device):
        device.flash.cut_at(operation, share_bytes)

    return arm


def arm_pin(write, is_after):
    def arm(device):
        device.relay.cut_at = write
        device.relay.is_after = is_after

    return arm


def arms():
    """Yield lists of cuts at place 0, 1, 2...; a list whose cuts never came is past the end."""
    for share_bytes in SHARES_BYTES:
        yield [arm_flash(operation, share_bytes) for operation in range(40)]
    for is_after in (False, True):
        yield [arm_pin(write, is_after) for write in range(40)]


def run_with_cuts(image, name, cuts):
    """Deliver one command, cut each boot as `cuts` says, then deliver until it is acknowledged.

    Returns (device, whether the last of the cuts came).
    """
    device = Device(image)
    was_cut = True
    for arm in cuts:
        arm(device)
        try:
            device.deliver("x", name)
            was_cut = False
        except PowerCut:
            device.erases_before_cut = device.flash.erases
            device.begin()
    if not was_cut:
        device.flash.power_up()
        device.relay.cut_at = -1
    if "x" not in device.acknowledged or was_cut:
        device.deliver("x", name)
    return device, was_cut


def judge_pulse(device, place):
    answers = device.answers("x")
    assert "x" in device.acknowledged, place
    assert len(answers) >= 1 and answers == [answers[0]] * len(answers), (place, answers)
    assert device.edges_to_one <= 1, (place, device.edges_to_one)
    if answers[0] == "done":
        assert device.edges_to_one == 1, place
    else:
        assert answers[0] == "interrupted", (place, answers)
    assert device.relay.level == 0, place
    return answers[0], device.edges_to_one


def judge_level(device, place):
    answers = device.answers("x")
    assert "x" in device.acknowledged, place
    assert len(answers) >= 1 and answers == ["done"] * len(answers), (place, answers)
    assert 1 <= device.edges_to_one <= device.boots, (place, device.edges_to_one)
    return answers[0], device.relay.level


def try_every_cut(name, judge, fills):
    """Cut `name` at every place, on flash with so many commands before; return (what the judge saw, cuts)."""
    seen = set()
    cuts = 0
    erases_cut = 0
    for fill in fills:
        image = image_after(fill)
        for line in arms():
            for index, arm in enumerate(line):
                device, was_cut = run_with_cuts(image, name, [arm])
                seen.add(judge(device, (fill, index)))
                if not was_cut:
                    break
                cuts += 1
                erases_cut += device.erases_before_cut > 0
            else:
                raise AssertionError("the cuts never reached the end")
    assert erases_cut, "no cut fell on a sector being opened"
    return seen, cuts


# With sectors of 47 notes, the first command opens both rings' first sector and the 24th a second one.
FILLS = (0, 5, 6, 12, 22, 23, 24)


def test_a_pulse_happens_once_or_is_answered_interrupted():
    seen, cuts = try_every_cut("gpio.pulse", judge_pulse, FILLS)
    assert seen == {("done", 1), ("interrupted", 0), ("interrupted", 1)}, seen
    assert cuts > 80, cuts


def test_a_level_is_set_again_until_it_is_known_to_be_done():
    seen, cuts = try_every_cut("gpio.set", judge_level, FILLS)
    # Level 0 at the end: cut after DONE, so the repeat was acknowledged and the pin stayed safe.
    assert seen == {("done", 1), ("done", 0)}, seen
    assert cuts > 60, cuts


def test_a_second_cut_during_the_repeat_changes_nothing():
    """Goal: the promises hold when the repeat is cut as well. Method: every pair of cuts."""
    pairs = 0
    image = image_after(5)
    for name, judge in (("gpio.pulse", judge_pulse), ("gpio.set", judge_level)):
        for first_line in arms():
            for first in first_line:
                first_was_cut = run_with_cuts(image, name, [first])[1]
                if not first_was_cut:
                    break
                for second_line in arms():
                    for index, second in enumerate(second_line):
                        device, was_cut = run_with_cuts(image, name, [first, second])
                        judge(device, (name, index))
                        if not was_cut:
                            break
                        pairs += 1
    assert pairs > 200, pairs


def test_a_repeat_that_expired_after_the_cut_does_not_move_the_pin():
    device = Device()
    device.relay.cut_at = 0
    device.relay.is_after = True
    expires_ms = device.boot.utc_ms + 100
    device.boot.commands.submit("x", "gpio.set", ARGUMENTS["gpio.set"], expires_ms, 1)
    try:
        device.boot.run()
        raise AssertionError("the power was not cut")
    except PowerCut:
        device.begin()
    device.boot.utc_ms = expires_ms
    device.boot.commands.submit("x", "gpio.set", ARGUMENTS["gpio.set"], expires_ms, 2)
    device.boot.run()
    assert device.answers("x") == ["interrupted"] and device.relay.level == 0
    assert device.boot.acknowledged == [2]
