"""What a start needed is forgotten, and what runs goes on running."""

import sys

from fieldpost import lighten
from fieldpost.uplink.window import Window
from support import raises


def test_what_is_made_once_cannot_be_made_again_and_goes_on_working():
    window = Window(2)
    made = lighten._MADE_ONCE
    kept = [(one, one.__init__) for one in made]
    loaded = dict(sys.modules)
    try:
        lighten.lighten()
        assert lighten.MQTTClient.publish is None, "the link has its own"
        with raises(TypeError):
            Window(2)
        window.sent(7, 1, 3, 0, 0)
        assert window.acknowledged(7) == 3 and window.forget_through == 3
        assert "fieldpost.lighten" not in sys.modules
    finally:
        for one, init in kept:
            one.__init__ = init
        for name, function in _CLIENT.items():
            setattr(lighten.MQTTClient, name, function)
        for name in loaded:
            sys.modules[name] = loaded[name]


def test_a_module_that_is_not_there_is_no_trouble():
    lighten.unload("ring.never_loaded")
    assert "fieldpost.ring" in sys.modules


_CLIENT = {name: getattr(lighten.MQTTClient, name) for name in lighten.MQTTClient.__dict__ if name[:2] != "__"}
