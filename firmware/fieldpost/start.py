"""What a board does once, from its configuration to a device that is ready to run; unloaded after it.

configuration -> port -> code in flash, where it can be -> device -> heap without what only the start needed
"""

from fieldpost import assembly
from fieldpost.errors import ConfigError
from fieldpost.modules import unload

_DONE = (
    "ports.code_in_flash",
    "ports.heap",
    "ports.lent_blocks",
    "ports.objects_in_flash",
    "start",
)


def open_port(log):
    """Return [port, configuration, identity], or None if a file is not right, which is told."""
    from fieldpost import config

    try:
        settings, identity = config.load("/config.json", "/identity.json")
    except ConfigError as error:
        log("not started: %s" % error)
        return None
    opened = [assembly.open_port(settings, identity), settings, identity]
    del config
    unload("fieldpost.config")  # its checks have done their work
    unload("fieldpost.shapes")
    return opened


def make_device(opened, log):
    """Return the device. opened: from `open_port`; emptied, since certificates and keys are where they are needed."""
    port, settings, identity = opened
    del opened[:]
    # What the device would load a little later and keep: now it can go to flash with the rest.
    hub = settings["hub"]
    names = ["hubs." + hub["dialect"]]
    if hub["methods"]:
        names.append("hubs.azure_methods")
    if hub["twin"]:
        names += ["hubs.azure_twin", "commands.kept_settings"]
    for name in names:
        __import__("fieldpost." + name)
    _free_heap(port, True, log)
    device = assembly.Device(settings, identity, port, log)
    settings = identity = None
    from fieldpost.lighten import lighten

    lighten()
    _free_heap(port, False, log)
    return device


def clear_up():
    """Forget what only the start needed, this module too."""
    for name in _DONE:
        unload("fieldpost." + name)


def _free_heap(port, is_first, log):
    """Let code run in flash where the board can; it runs from the heap as well."""
    try:
        port.move_to_flash(is_first)
    except (OSError, ConfigError) as error:
        log("code stays on the heap: %s" % error)
