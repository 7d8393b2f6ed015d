"""What a board starts. A failure is printed, kept in /last_error.txt, and answered with a restart."""

import gc
import sys
import time

_RESTART_PAUSE_MS = 5_000  # time for an operator to press Ctrl-C, and for a supply to settle


def log(line):
    print("fieldpost: " + line)


def main():
    gc.threshold(16_384)  # collect early: garbage between what stays would break the heap into pieces
    from fieldpost import start

    opened = start.open_port(log)
    if opened is None:
        # Restarting would change nothing: leave the prompt to whoever puts the configuration right.
        return
    port = opened[0]
    try:
        device = start.make_device(opened, log)
        start.clear_up()
        del start
        device.run()
    except Exception as error:
        log("stopped: %s: %s; restarting in %d s" % (type(error).__name__, error, _RESTART_PAUSE_MS // 1000))
        with open("/last_error.txt", "w") as file:
            sys.print_exception(error, file)
        sys.print_exception(error)
        time.sleep_ms(_RESTART_PAUSE_MS)
        port.reset()


main()
