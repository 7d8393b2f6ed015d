"""What a lamp on the board says to whoever stands before it.

joining      one short flash a second       no network yet
connecting   four a second                  network, no hub yet
ready        on                             the hub is there
error        three flashes, a pause         the network or the hub says no; the status tells what
"""

JOINING = 0
CONNECTING = 1
READY = 2
ERROR = 3

_TURN_MS = 2_000
# By state: a bit for each eighth of a turn, the first one last.
_LIT = (0b00010001, 0b01010101, 0b11111111, 0b00010101)


class StatusLed:
    """pin: value(level), and is only asked for another level. is_inverted: whether it shines when low."""

    def __init__(self, pin, is_inverted):
        self._pin = pin
        self._is_inverted = is_inverted
        self._level = None

    def step(self, state, now_ms):
        """Show one of the states above at a moment of the uptime."""
        level = _LIT[state] >> (now_ms % _TURN_MS * 8 // _TURN_MS) & 1
        if level != self._level:
            self._level = level
            self._pin.value(level ^ self._is_inverted)


def state_of(network, session):
    """Return the state that network (ports) and session (uplink) are in together."""
    if session.state == "ready":
        return READY
    if not network.is_up:
        return ERROR if network.trouble else JOINING
    return ERROR if session.last_error else CONNECTING
