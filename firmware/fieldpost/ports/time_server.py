"""One question to one time server. Loaded for it, and taken off the heap after it, as is that for its address."""

import ntptime

from fieldpost.limits import NTP_TIMEOUT_S
from fieldpost.links.dns import Question
from fieldpost.modules import unload


class TimeQuestion:
    """What time is it, `host`? (RFC 5905, SNTP.)"""

    def __init__(self, host):
        self._name = Question(host, 0)

    def answer(self):
        """Return UTC in s of the port's epoch, None while the name is asked for. Raises OSError.

        Blocks for NTP_TIMEOUT_S at the most. The machine's clock stays as it is: ntptime.settime would believe
        anything.
        """
        found = self._name.addresses()
        if found is None:
            return None
        ntptime.host = found[0]
        ntptime.timeout = NTP_TIMEOUT_S
        return ntptime.time()


def put_away():
    """Forget these modules until the next question."""
    for name in ("links.dns", "ports.time_server"):
        unload("fieldpost." + name)
