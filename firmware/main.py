"""What a board starts. A failure is printed, kept in /last_error.txt, and answered with a restart."""

import gc
import sys
import time

from fieldpost.errors import ConfigError

_RESTART_PAUSE_MS = 5_000  # time for an operator to press Ctrl-C, and for a supply to settle


def log(line):
    print("fieldpost: " + line)


def settings_and_identity():
    """Return what config.json and identity.json say."""
    from fieldpost import config

    return config.load("/config.json", "/identity.json")


def lasting_modules(hub):
    """Return the names of what the device would load a little later and keep: now it can go to flash with the rest."""
    names = ["hubs." + hub["dialect"]]
    if hub["methods"]:
        names.append("hubs.azure_methods")
    if hub["twin"]:
        names += ["hubs.azure_twin", "commands.kept_settings"]
    return names


def free_heap(port, is_first):
    """Let code run in flash where the board can; it runs from the heap as well."""
    try:
        port.move_to_flash(is_first)
    except (OSError, ConfigError) as error:
        log("code stays on the heap: %s" % error)


def main():
    gc.threshold(16_384)  # collect early: garbage between what stays would break the heap into pieces
    try:
        settings, identity = settings_and_identity()
    except ConfigError as error:
        # Restarting would change nothing: leave the prompt to whoever puts the configuration right.
        log("not started: %s" % error)
        return
    from fieldpost.assembly import Device, open_port
    from fieldpost.lighten import lighten
    from fieldpost.modules import unload

    port = open_port(settings, identity)
    unload("fieldpost.config")  # its checks have done their work
    unload("fieldpost.shapes")
    try:
        for name in lasting_modules(settings["hub"]):
            __import__("fieldpost." + name)
        free_heap(port, True)
        device = Device(settings, identity, port, log)
        settings = identity = None  # certificates and keys are where they are needed
        lighten()
        free_heap(port, False)
        for name in ("code_in_flash", "objects_in_flash", "lent_blocks", "heap"):
            unload("fieldpost.ports." + name)
        del lighten, unload
        device.run()
    except Exception as error:
        log("stopped: %s: %s; restarting in %d s" % (type(error).__name__, error, _RESTART_PAUSE_MS // 1000))
        with open("/last_error.txt", "w") as file:
            sys.print_exception(error, file)
        sys.print_exception(error)
        time.sleep_ms(_RESTART_PAUSE_MS)
        port.reset()


main()
