"""What a start needed is forgotten, and what runs goes on running."""

import sys

from fieldpost import modules, start
from fieldpost.uplink.window import Window
from support import raises


def test_what_is_made_once_cannot_be_made_again_and_goes_on_working():
    window = Window(2)
    made = start._MADE_ONCE
    kept = [(one, one.__init__) for one in made]
    loaded = dict(sys.modules)
    try:
        start.lighten()
        assert start.MQTTClient.publish is None, "the link has its own"
        assert all([getattr(owner, name) is None for owner, name, _ in _OF_DRIVERS])
        with raises(TypeError):
            Window(2)
        window.sent(7, 1, 3, 0, 0)
        assert window.acknowledged(7) == 3 and window.forget_through == 3
    finally:
        for one, init in kept:
            one.__init__ = init
        for name in loaded:
            sys.modules[name] = loaded[name]
        for owner, name, value in _OF_DRIVERS:
            setattr(owner, name, value)


def test_a_module_is_forgotten_and_can_be_loaded_again():
    from fieldpost.ring import layout

    modules.unload("fieldpost.ring.layout")
    assert "fieldpost.ring.layout" not in sys.modules and not hasattr(sys.modules["fieldpost.ring"], "layout")
    modules.unload("fieldpost.ring.layout")
    modules.unload("fieldpost.ring.never_loaded")
    import fieldpost.ring.layout

    assert fieldpost.ring.layout.divide is not layout.divide
    sys.modules["fieldpost.ring.layout"] = layout


def _of_drivers():
    """Return (owner, name, value) of what is taken from the drivers' classes and modules."""
    client = start.MQTTClient
    found = [(client, name) for name in client.__dict__ if name[:2] != "__" or name == "__init__"]
    for module_name, class_name, names in start._UNUSED:
        owner = sys.modules.get(module_name)
        if owner is not None:
            owner = getattr(owner, class_name) if class_name else owner
            found.extend([(owner, name) for name in names])
    return [(owner, name, owner.__dict__[name]) for owner, name in found if name in owner.__dict__]


_OF_DRIVERS = _of_drivers()
