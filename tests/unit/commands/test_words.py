"""What each word does and answers, and what the words of a user may do."""

from commands.world import PINS, Boot
from fieldpost.commands import word
from fieldpost.limits import PATTERN_DURATIONS_MAX, REBOOT_DELAY_MS
from fieldpost.ring.log import Ring
from fieldpost.shapes import Integer, Mismatch

from host_tools.emulator.nor_flash import NorFlash


def answer_to(boot, name, **arguments):
    boot.send("id-%d" % len(boot.answers), name, token=len(boot.answers), **arguments)
    boot.run(200)
    return boot.answers[-1]


def test_toggle_turns_the_level_over_and_leaves_it():
    boot = Boot()
    assert answer_to(boot, "gpio.toggle", pin="relay")["result"] == {"pin": "relay", "value": 1}
    assert answer_to(boot, "gpio.toggle", pin="relay")["result"] == {"pin": "relay", "value": 0}
    assert boot.pins["relay"].edges == [1, 0]


def test_a_toggle_that_comes_again_turns_nothing_over():
    boot = Boot()
    for delivery in range(3):
        boot.send("t", "gpio.toggle", token=delivery, pin="relay")
        boot.run()
    assert boot.pins["relay"].edges == [1] and boot.acknowledged == [0, 1, 2]


def test_a_pattern_is_played_once_and_answered_at_its_end():
    boot = Boot()
    assert answer_to(boot, "gpio.pattern", pin="relay", durations_ms=[20, 10, 20])["result"] == {
        "pin": "relay",
        "turns": 3,
    }
    assert boot.pins["relay"].edges == [1, 0, 1, 0]


def test_a_pattern_keeps_to_the_pins_longest_pulse():
    boot = Boot()
    for durations, reason in (
        ([10, 10_001], "durations_ms[1] is 10001: expected an integer from 1 to 10000 (for pin relay)"),
        ([], "durations_ms is a list of 0: expected a list"),
        ([1] * (PATTERN_DURATIONS_MAX + 1), "durations_ms is a list of %d" % (PATTERN_DURATIONS_MAX + 1)),
        (10, "durations_ms is 10: expected a list"),
    ):
        answer = answer_to(boot, "gpio.pattern", pin="relay", durations_ms=durations)
        assert answer["status"] == "refused" and answer["result"]["reason"].startswith(reason), answer
    assert boot.pins["relay"].edges == []


def test_the_limits_of_a_pin_refuse_before_anything_is_noted():
    settings = {"pump": dict(PINS["relay"], off_min_ms=1000), "heater": dict(PINS["relay"], not_with=["pump"])}
    boot = Boot(settings=settings)
    answer = answer_to(boot, "gpio.pulse", pin="pump", width_ms=10)
    assert (answer["status"], answer["result"]["reason"]) == ("refused", "pump must rest for 1000 ms more")
    boot.now_ms = 2000
    answer_to(boot, "gpio.set", pin="pump", value=1)
    answer = answer_to(boot, "gpio.toggle", pin="heater")
    assert answer["result"]["reason"] == "heater may not leave its safe level while pump is away from its own"
    assert boot.pins["heater"].edges == []


def test_the_newest_reading_is_told_to_the_last_digit():
    boot = Boot()
    answer = answer_to(boot, "sensor.read")
    assert (answer["status"], answer["result"]["reason"]) == ("failed", "the hardware failed: there is no reading yet")
    boot.context.agent.last_reading = (-5, 9_876_512)
    assert answer_to(boot, "sensor.read")["result"] == {"temperature": -0.05, "pressure": 98765.12}


def test_the_agent_tells_what_it_is():
    assert answer_to(Boot(), "agent.info")["result"] == {"version": "1", "boot": 3}


def test_a_restart_is_due_once_its_answer_can_be_on_its_way():
    boot = Boot()
    boot.now_ms = 5000
    boot.send("r", "agent.reboot", token=1)
    boot.run()
    assert boot.context.reboot_ms == 5000 + REBOOT_DELAY_MS and boot.acknowledged == [1]


def test_the_queue_is_described_and_purged_when_its_id_is_given():
    queue = Ring(NorFlash(8 * 1024, sector_bytes=1024))
    for _ in range(60):
        queue.append(1, b"x" * 50)
    boot = Boot(queue=queue)
    stats = answer_to(boot, "queue.stats")["result"]
    assert stats["pending"] == queue.pending and stats["next"] == 61 and stats["sectors"] == 8
    answer = answer_to(boot, "queue.purge", confirm="yes")
    assert answer["result"]["reason"] == "confirm must be the ring's id, which queue.stats tells"
    assert answer_to(boot, "queue.purge")["result"]["reason"].startswith("confirm is missing")
    pending = queue.pending
    dropped = answer_to(boot, "queue.purge", confirm=stats["ring"])["result"]["dropped"]
    assert dropped == pending - queue.pending > 30 and queue.oldest_sector == queue.newest
    assert queue.cursor == 0, "what was dropped is still to be reported"
    again = Ring(queue.region)
    assert (again.oldest, again.next_number, again.damaged) == (queue.oldest, 61, 0)


def with_word(name, act, **settings):
    once = settings.pop("once", False)
    check = settings.pop("check", None)
    before = len(word.user_words)
    word.command(name, once=once, check=check, **settings)(act)
    words = word.user_words[before:]
    del word.user_words[before:]
    return Boot(words=words)


def test_a_word_of_the_users_own_is_checked_and_answered_like_any_other():
    def open_valve(context, arguments, now_ms):
        context.outputs.set("relay", 1, now_ms)
        return (("seconds", arguments["seconds"]),)

    boot = with_word("valve.open", open_valve, once=True, seconds=Integer(1, 60, "seconds"))
    assert answer_to(boot, "valve.open", seconds=61)["result"]["reason"].startswith("seconds is 61: expected")
    assert answer_to(boot, "valve.open", seconds=60)["result"] == {"seconds": 60}
    assert boot.pins["relay"].edges == [1]


def test_a_word_of_the_users_own_that_fails_is_answered_and_nothing_else_suffers():
    def wrong(context, arguments, now_ms):
        return arguments["no such key"]

    def forbidden(context, arguments, now_ms):
        raise Mismatch("the tank is empty")

    boot = with_word("wrong", wrong)
    answer = answer_to(boot, "wrong")
    assert answer["status"] == "failed" and answer["result"]["reason"].startswith("KeyError: ")
    assert answer_to(boot, "ping")["status"] == "done"
    assert answer_to(with_word("fill", forbidden), "fill")["result"]["reason"] == "the tank is empty"


def test_analogue_pins():
    settings = {
        "fan": dict(PINS["relay"], commands=["pwm.set"], direction="pwm"),
        "battery": {"safe": None, "commands": ["adc.read"], "direction": "adc"},
    }
    boot = Boot(settings=settings)
    boot.pins["battery"].read = lambda: (32768, 1_650_000)
    assert answer_to(boot, "adc.read", pin="battery")["result"] == {
        "pin": "battery",
        "raw": 32768,
        "microvolts": 1_650_000,
    }
    assert answer_to(boot, "pwm.set", pin="fan", duty_permille=250)["result"] == {
        "pin": "fan",
        "duty_permille": 250,
        "frequency_hz": 1000,
    }
    answer_to(boot, "pwm.set", pin="fan", duty_permille=0, frequency_hz=50)
    assert boot.pins["fan"].edges == [(250, 1000), 0]
    assert answer_to(boot, "pwm.set", pin="fan", duty_permille=1001)["status"] == "refused"
    assert answer_to(boot, "gpio.set", pin="fan", value=1)["result"]["reason"] == "gpio.set is not allowed for pin fan"
