"""Registration at the Device Provisioning Service: what is asked, what the answers mean, what is kept."""

import json

from fieldpost.hubs.azure_dps import AssignedDialect
from fieldpost.limits import DPS_ANSWER_MS

SERVICE = {"host": "dps.example", "port": 8883, "id_scope": "0ne1"}
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
ANSWERS = "$dps/registrations/res/"


class Store:
    def __init__(self, text=None):
        self.text = text

    def read(self):
        return self.text

    def write(self, text):
        self.text = text


class Link:
    def __init__(self):
        self.sent = []
        self.has_room = True

    def publish(self, topic, payload, packet_id, dup, retain=False):
        if self.has_room:
            self.sent.append((str(topic, "utf-8"), bytes(payload)))
        return self.has_room


class World:
    def __init__(self, kept=None, key=KEY):
        self.store = Store(kept)
        self.link = Link()
        self.dialect = AssignedDialect(SERVICE, 8883, "dev1", key, lambda: 1_795_443_852_999, self.store)
        self.now_ms = 0

    def step(self, ms=0):
        self.now_ms += ms
        return self.dialect.step(self.now_ms, self.link)

    def answer(self, status, body, bag=""):
        topic = "%s%d/?$rid=%d%s" % (ANSWERS, status, len(self.link.sent), bag)
        text = body if isinstance(body, str) else json.dumps(body)
        self.dialect.answer(memoryview(topic.encode()), memoryview(text.encode()), self.now_ms)


def assigned(host="hub.example", device_id="dev1"):
    return {
        "operationId": "5.a",
        "status": "assigned",
        "registrationState": {"assignedHub": host, "deviceId": device_id, "status": "assigned"},
    }


def test_an_applicant_is_none_of_the_hubs_devices():
    dialect = World().dialect
    assert dialect.is_applying and dialect.server == ("dps.example", 8883)
    assert dialect.client_id == "dev1" and dialect.clean_session is True
    assert dialect.username == "0ne1/registrations/dev1/api-version=2019-03-31"
    assert dialect.subscriptions == ((ANSWERS + "#", 1),)
    token = dialect.password()
    assert token.startswith("SharedAccessSignature sr=0ne1%2Fregistrations%2Fdev1&sig=")
    assert token.endswith("&skn=registration")
    assert World(key=None).dialect.password() is None


def test_registering_takes_as_long_as_the_service_says():
    world = World()
    world.dialect.begin(0)
    assert not world.step()
    assert world.link.sent == [("$dps/registrations/PUT/iotdps-register/?$rid=1", b'{"registrationId": "dev1"}')]
    world.answer(202, {"operationId": "5.a b", "status": "assigning"}, "&retry-after=4")
    assert not world.step(3999) and len(world.link.sent) == 1
    assert not world.step(1)
    assert world.link.sent[1][0] == "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.a%20b"
    world.answer(200, assigned("hub.example", "other"))
    assert world.step()
    dialect = world.dialect
    assert not dialect.error and dialect.server == ("hub.example", 8883) and dialect.clean_session is False
    assert dialect.username == "hub.example/other/?api-version=2021-04-12" and dialect.client_id == "other"
    assert dialect.event_topic("1").startswith(b"devices/other/messages/events/")
    # The next boot knows, one of another registration does not.
    assert World(world.store.text).dialect.server == ("hub.example", 8883)
    for kept in ("", "{}", "[1]", "null", '["0ne2","dev1","h","dev1"]', '["0ne1","dev2","h","dev1"]', '["0ne1"'):
        assert World(kept).dialect.is_applying, kept


def test_a_busy_service_is_asked_the_same_again():
    world = World()
    world.dialect.begin(0)
    for status in (429, 500, 503):
        world.step()
        world.answer(status, "busy", "&retry-after=7")
        world.step(6_999)
        count = len(world.link.sent)
        assert not world.step(1) and len(world.link.sent) == count + 1
        assert "iotdps-register" in world.link.sent[-1][0]
        world.answer(202, {"operationId": "x", "status": "assigning"}, "&retry-after=0")
        world.dialect.begin(world.now_ms)


def test_what_ends_a_registration_is_told():
    for status, body, said, is_refused in (
        (401, {"errorCode": 401002, "message": "Unauthorized"}, "refused: Unauthorized (401002)", True),
        (404, "", "refused: None (404)", True),
        (200, {"status": "disabled", "registrationState": {"status": "disabled"}}, "no hub: disabled", True),
        (
            200,
            {"status": "failed", "registrationState": {"errorMessage": "no\nhub"}},
            "assigned no hub: failed, no hub",
            True,
        ),
        (200, "[", "makes no sense", False),
        (200, "[]", "makes no sense", False),
        (200, {}, "makes no sense", False),
        (200, {"status": "assigned", "registrationState": {}}, "makes no sense", False),
        (202, {"status": "assigning"}, "makes no sense", False),
    ):
        world = World()
        world.dialect.begin(0)
        world.step()
        world.answer(status, body)
        assert world.step() and said in world.dialect.error, (body, world.dialect.error)
        assert world.dialect.is_refused is is_refused, body
        assert world.store.text is None
    world.dialect.begin(world.now_ms)
    assert not world.step()
    assert not world.step(DPS_ANSWER_MS) and world.step(1)
    assert "does not answer" in world.dialect.error


def test_an_answer_to_another_question_is_passed_over():
    world = World()
    world.dialect.begin(0)
    world.step()
    for topic in (ANSWERS + "200/?$rid=9", ANSWERS + "200/", "$dps/else", ANSWERS + "200/?$rid=0"):
        body = json.dumps(assigned()).encode()
        world.dialect.answer(memoryview(topic.encode()), memoryview(body), 0)
        assert world.dialect.is_applying and not world.dialect.error, topic


def test_a_link_without_room_is_asked_again():
    world = World()
    world.link.has_room = False
    world.dialect.begin(0)
    assert not world.step()
    world.link.has_room = True
    assert not world.step()
    assert [topic for topic, _ in world.link.sent] == ["$dps/registrations/PUT/iotdps-register/?$rid=1"]
