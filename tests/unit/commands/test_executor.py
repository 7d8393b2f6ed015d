"""Each command has one effect and one answer, in order, whatever arrives and how often."""

from commands.world import Boot, ListRing
from fieldpost.limits import COMMANDS_QUEUED_MAX, COMMANDS_WANTED_MAX, RESULT_TEXT_BYTES_MAX


def test_a_level_is_set_answered_and_acknowledged():
    boot = Boot()
    assert boot.send("a", "gpio.set", token=7, pin="relay", value=1)
    boot.run()
    assert boot.pins["relay"].edges == [1]
    assert boot.answers == [
        {
            "id": "a",
            "status": "done",
            "via": "message",
            "command": "gpio.set",
            "result": {"pin": "relay", "value": 1},
        }
    ]
    assert boot.acknowledged == [7] and boot.commands.done == 1


def test_a_pulse_holds_nothing_up_and_ends_on_time():
    boot = Boot()
    boot.send("p", "gpio.pulse", token=1, pin="relay", width_ms=200)
    boot.run(190)
    assert boot.pins["relay"].edges == [1] and boot.acknowledged == []
    assert boot.commands.wait_ms(boot.now_ms) == 10
    boot.run(10)
    assert boot.pins["relay"].edges == [1, 0] and boot.acknowledged == [1]
    assert boot.answers[0]["result"] == {"pin": "relay", "width_ms": 200}
    assert boot.commands.wait_ms(boot.now_ms) is None


def test_a_pulse_on_a_raised_pin_turns_it_over_and_back():
    boot = Boot()
    boot.send("s", "gpio.set", pin="relay", value=1)
    boot.send("p", "gpio.pulse", pin="relay", width_ms=50)
    boot.run(60)
    assert boot.pins["relay"].edges == [1, 0, 1]


def test_commands_wait_for_the_pulse_before_them():
    boot = Boot()
    boot.send("p", "gpio.pulse", token=1, pin="relay", width_ms=100)
    boot.send("g", "gpio.get", token=2, pin="relay")
    boot.run(50)
    assert boot.acknowledged == []
    boot.run(60)
    assert boot.acknowledged == [1, 2]
    assert boot.answers[1]["result"] == {"pin": "relay", "value": 0}


def test_a_repeat_after_its_acknowledgement_was_lost_does_nothing_but_acknowledge():
    boot = Boot()
    for delivery in range(3):
        boot.send("p", "gpio.pulse", token=delivery, pin="relay", width_ms=20)
        boot.run(40)
    assert boot.pins["relay"].edges == [1, 0]
    assert boot.statuses() == ["done"]
    assert boot.acknowledged == [0, 1, 2] and boot.commands.repeated == 2 and boot.commands.done == 1


def test_a_repeat_while_it_waits_or_runs_only_brings_the_newer_token():
    boot = Boot()
    boot.send("p", "gpio.pulse", token=1, pin="relay", width_ms=100)
    boot.send("s", "gpio.set", token=2, pin="led", value=0)
    boot.run(50)
    boot.send("p", "gpio.pulse", token=3, pin="relay", width_ms=100)
    boot.send("s", "gpio.set", token=4, pin="led", value=0)
    boot.run(60)
    assert boot.acknowledged == [3, 4]
    assert boot.pins["relay"].edges == [1, 0] and boot.pins["led"].edges == [0]


def test_what_may_not_act_is_refused_with_its_reason_and_moves_nothing():
    cases = (
        ("gpio.blink", {}, "no such command: expected one of agent.config, agent.info, agent.r"),
        ("gpio.set", {}, "pin is missing: expected a name"),
        ("gpio.set", {"pin": 26, "value": 1}, "pin is 26: expected a name"),
        ("gpio.set", {"pin": "pump", "value": 1}, 'pin is "pump": expected one of button, led, relay'),
        ("gpio.set", {"pin": "relay"}, "value is missing: expected one of 0, 1"),
        ("gpio.set", {"pin": "relay", "value": 2}, "value is 2: expected one of 0, 1"),
        ("gpio.set", {"pin": "relay", "value": True}, "value is true: expected one of 0, 1"),
        (
            "gpio.set",
            {"pin": "relay", "value": 1, "x": 1},
            "x is not a known key: expected one of pin, value",
        ),
        ("gpio.set", {"pin": "button", "value": 1}, "gpio.set is not allowed for pin button"),
        ("gpio.pulse", {"pin": "led", "width_ms": 10}, "gpio.pulse is not allowed for pin led"),
        (
            "gpio.pulse",
            {"pin": "relay", "width_ms": "abc"},
            'width_ms is "abc": expected an integer from 1 to 3600',
        ),
        (
            "gpio.pulse",
            {"pin": "relay", "width_ms": 10001},
            "width_ms is 10001: expected an integer from 1 to 100",
        ),
        (
            "gpio.pulse",
            {"pin": "relay", "width_ms": 0},
            "width_ms is 0: expected an integer from 1 to 3600000",
        ),
        ("ping", {"loud": 1}, "loud is not a known key: expected none"),
    )
    boot = Boot()
    for index, (name, arguments, reason) in enumerate(cases):
        boot.commands.submit("id%d" % index, name, arguments, None, index)
        boot.run()
        assert boot.answers[-1]["status"] == "refused", name
        assert boot.last_reason().startswith(reason), boot.last_reason()
    assert boot.acknowledged == list(range(len(cases))) and boot.commands.refused == len(cases)
    assert not any(pin.edges for pin in boot.pins.values())


def test_a_refused_command_that_comes_again_is_not_answered_again():
    boot = Boot()
    for delivery in range(2):
        boot.send("r", "gpio.set", token=delivery, pin="pump", value=1)
        boot.run()
    assert boot.statuses() == ["refused"] and boot.acknowledged == [0, 1]


def test_a_message_that_is_no_command_is_answered_in_its_turn():
    boot = Boot()
    boot.send("p", "gpio.pulse", token=1, pin="relay", width_ms=50)
    boot.commands.refuse("m", "body is not JSON", 2)
    boot.commands.refuse("", "body is not JSON", 3)
    boot.run(60)
    assert boot.acknowledged == [1, 2, 3]
    assert boot.answers[1] == {
        "id": "m",
        "status": "refused",
        "via": "message",
        "result": {"reason": "body is not JSON"},
    }
    assert boot.answers[2]["id"] == ""


def test_an_expired_command_is_refused_and_a_fresh_one_is_not():
    boot = Boot()
    boot.send("old", "gpio.set", expires_ms=boot.utc_ms, pin="relay", value=1)
    boot.run()
    assert boot.last_reason() == "expired 0 ms ago" and boot.pins["relay"].edges == []
    boot.send("new", "gpio.set", expires_ms=boot.utc_ms + 1, pin="relay", value=1)
    boot.run()
    assert boot.statuses() == ["refused", "done"]


def test_a_command_that_expires_while_it_waits_is_refused():
    boot = Boot()
    boot.send("p", "gpio.pulse", pin="relay", width_ms=100)
    boot.send("s", "gpio.set", expires_ms=boot.utc_ms + 50, pin="led", value=0)
    boot.run(50)
    boot.utc_ms += 100
    boot.run(60)
    assert boot.statuses() == ["done", "refused"] and boot.pins["led"].edges == []


def test_without_the_time_only_what_never_expires_acts():
    boot = Boot()
    boot.utc_ms = None
    boot.send("a", "gpio.set", expires_ms=5, pin="relay", value=1)
    boot.send("b", "gpio.set", pin="led", value=0)
    boot.run()
    assert boot.statuses() == ["refused", "done"]


def test_without_an_id_levels_act_each_time_and_pulses_are_refused():
    boot = Boot()
    for level in (1, 0, 1):
        boot.send("", "gpio.set", pin="relay", value=level)
    boot.send("", "gpio.pulse", pin="relay", width_ms=10)
    boot.run()
    assert boot.pins["relay"].edges == [1, 0, 1]
    assert boot.statuses() == ["done", "done", "done", "refused"]
    assert boot.last_reason() == "gpio.pulse must not be repeated, so it needs a message id"
    assert boot.ring.records == []


def test_a_flood_is_taken_up_to_the_bound_and_the_rest_is_left_to_the_hub():
    boot = Boot()
    taken = [boot.send("f%d" % index, "ping", token=index) for index in range(1000)]
    assert taken == [True] * COMMANDS_QUEUED_MAX + [False] * (1000 - COMMANDS_QUEUED_MAX)
    assert boot.send("f0", "ping", token="newer"), "a repeat needs no room"
    boot.run()
    assert boot.acknowledged == ["newer"] + list(range(1, COMMANDS_QUEUED_MAX))
    assert boot.send("later", "ping")


def test_what_there_is_no_memory_to_check_is_left_to_the_hub():
    boot = Boot()
    permitted = boot.commands._vocabulary.permitted

    def no_memory(name, arguments, command_id):
        raise MemoryError

    boot.commands._vocabulary.permitted = no_memory
    assert not boot.send("c1", "gpio.set", pin="relay", value=1)
    boot.run()
    assert boot.answers == [] and boot.acknowledged == []
    boot.commands._vocabulary.permitted = permitted
    assert boot.send("c1", "gpio.set", pin="relay", value=1)
    boot.run()
    assert boot.statuses() == ["done"] and boot.pins["relay"].edges == [1]


def test_the_link_is_read_while_there_is_room_and_while_a_long_command_runs():
    boot = Boot()
    boot.send("p", "gpio.pulse", pin="relay", width_ms=1000)
    for index in range(COMMANDS_WANTED_MAX - 1):
        assert boot.commands.has_room()
        boot.send("f%d" % index, "ping")
    assert not boot.commands.has_room()
    boot.commands.step(0)
    assert boot.commands.has_room(), "others share the link, and the pulse takes its time"
    boot.run(2000)
    assert boot.commands.has_room() and boot.acknowledged


def test_one_step_takes_up_one_command():
    boot = Boot()
    for index in range(5):
        boot.send("s%d" % index, "ping", token=index)
    for index in range(5):
        boot.commands.step(0)
        assert boot.acknowledged == list(range(index + 1))


def test_a_pin_that_fails_is_answered_and_never_left_turned_over():
    boot = Boot()
    boot.pins["relay"].is_broken = True
    boot.send("p", "gpio.pulse", token=1, pin="relay", width_ms=100)
    boot.run()
    assert boot.statuses() == ["failed"] and boot.acknowledged == [1] and boot.commands.failed == 1
    # It had reached the pin after all: the pulse's end turns it back.
    boot.pins["relay"].is_broken = False
    boot.pins["relay"].level = 1
    boot.run(110)
    assert boot.pins["relay"].level == 0


def test_outputs_made_safe_cut_a_pulse_short_and_the_answer_says_so():
    boot = Boot()
    boot.send("p", "gpio.pulse", pin="relay", width_ms=100)
    boot.run(50)
    boot.outputs.make_safe(boot.now_ms)
    boot.run()
    assert boot.statuses() == ["interrupted"] and boot.pins["relay"].edges == [1, 0]


def test_flash_that_takes_no_notes_moves_no_pin():
    boot = Boot(ring=ListRing([], is_worn=True))
    boot.send("s", "gpio.set", token=1, pin="relay", value=1)
    boot.run()
    assert boot.statuses() == ["failed"] and boot.pins["relay"].edges == []
    assert boot.acknowledged == [1] and boot.commands.journal_faults == 2


def test_an_answer_that_cannot_be_stored_is_owed_and_the_act_is_not_repeated():
    boot = Boot()
    room = []

    def store(text):
        if not room:
            raise OSError(28)
        Boot.store_answer(boot, text)

    boot.commands._answer = store
    boot.send("p", "gpio.pulse", token=1, pin="relay", width_ms=20)
    failures = 0
    for now_ms in range(0, 60, 10):
        try:
            boot.commands.step(now_ms)
        except OSError:
            failures += 1
    assert failures and boot.acknowledged == []
    room.append(True)
    boot.run()
    assert boot.statuses() == ["done"] and boot.acknowledged == [1]
    assert boot.pins["relay"].edges == [1, 0]


def test_every_answer_fits_in_a_record():
    boot = Boot()
    sizes = []
    boot.commands._answer = lambda text: sizes.append(len(text))
    for index, letter in enumerate('a"\\\u00e9\U0001f600\x01'):
        boot.commands.submit(letter * 128, letter * 400, {letter * 400: letter * 400}, None, index)
        boot.commands.submit(letter * 127, "gpio.set", {"pin": letter * 400}, None, index)
        boot.commands.refuse(letter * 126, letter * 400, index)
        boot.run()
    assert len(sizes) == 18 and max(sizes) <= RESULT_TEXT_BYTES_MAX
