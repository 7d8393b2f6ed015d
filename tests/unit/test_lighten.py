"""What a start needed is forgotten, and what runs goes on running."""

import sys

from fieldpost import lighten, modules
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


def test_a_module_is_forgotten_and_can_be_loaded_again():
    from fieldpost.ring import layout

    modules.unload("fieldpost.ring.layout")
    assert "fieldpost.ring.layout" not in sys.modules and not hasattr(sys.modules["fieldpost.ring"], "layout")
    modules.unload("fieldpost.ring.layout")
    modules.unload("fieldpost.ring.never_loaded")
    import fieldpost.ring.layout

    assert fieldpost.ring.layout.divide is not layout.divide
    sys.modules["fieldpost.ring.layout"] = layout


_CLIENT = {name: getattr(lighten.MQTTClient, name) for name in lighten.MQTTClient.__dict__ if name[:2] != "__"}
