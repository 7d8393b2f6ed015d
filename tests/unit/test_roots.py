"""Roots over the air: on trial until a connection proves them, and never in place of those that work."""

import json
from binascii import a2b_base64, b2a_base64

from fieldpost.errors import Mismatch
from fieldpost.limits import ROOTS_ADDED_MAX
from fieldpost.roots import Roots
from support import raises


def root(name):
    return str(b2a_base64(name.encode() * 20), "ascii").strip()


class Store:
    text = None

    def read(self):
        return self.text

    def write(self, text):
        self.text = text


class Session:
    last_error = ""


def make_context(roots):
    for der in roots:
        if der.startswith(b"bad"):
            raise ValueError("invalid cert")
    return [str(der[:3], "ascii") for der in roots]


class World:
    def __init__(self, store=None):
        self.store = store or Store()
        self.roots = Roots([root("old")], self.store, make_context)
        self.session = Session()
        self.used = self.roots.context()
        self.roots.connect(self.session, self.use)

    def use(self, context):
        self.used = context

    def offer(self, name):
        word = self.roots.words[0]
        arguments = {"der": root(name)}
        word.check(None, arguments, 0)
        return dict(word.act(None, arguments, 0))

    def close(self, reason):
        self.session.last_error = reason
        self.roots.closed()
        return self.used


REJECTED = "certificate not accepted: self-signed"


def test_a_new_root_is_used_when_the_old_ones_fail_and_stays_when_it_works():
    world = World()
    assert world.used == ["old"]
    assert world.offer("new") == {"trusted": 1, "on_trial": 1}
    assert world.close("connection lost") == ["old"], "nothing has failed: nothing changes"
    assert world.close(REJECTED) == ["new"], "alone, so that a connection proves it"
    world.roots.ready(0)
    assert world.close("connection lost") == ["old", "new"]
    # Through a restart, too, and once is enough.
    again = World(world.store)
    assert again.used == ["old", "new"]
    assert again.offer("new") == {"trusted": 2, "on_trial": 0}


def test_a_root_that_does_not_help_replaces_nothing():
    world = World()
    world.offer("new")
    assert world.close(REJECTED) == ["new"]
    assert world.close(REJECTED) == ["old"]
    assert world.close(REJECTED) == ["new"], "the hub may have changed meanwhile"
    assert world.close("no answer within 20 s") == ["old"], "that proves nothing"
    world.roots.ready(0)
    assert world.close("connection lost") == ["old"]
    assert World(world.store).close(REJECTED) == ["new"], "it is still on trial after a restart"


def test_the_newest_are_kept_and_the_identitys_never_go():
    world = World()
    names = ["n%02d" % number for number in range(ROOTS_ADDED_MAX + 2)]
    for name in names:
        world.offer(name)
        world.close(REJECTED)
        world.roots.ready(0)
    assert world.close("") == ["old"] + names[-ROOTS_ADDED_MAX:]


def test_what_is_no_certificate_is_refused_and_a_damaged_file_is_none():
    world = World()
    with raises(Mismatch):
        world.offer("bad")
    assert world.store.text is None
    for text in ("", "[", "{}", "[1,2]", "[[],5]", json.dumps([[root("bad")], None])):
        store = Store()
        store.text = text
        assert World(store).used == ["old"], text
    assert a2b_base64(root("old"))
