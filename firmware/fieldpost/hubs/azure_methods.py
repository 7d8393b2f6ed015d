"""Direct methods of Azure IoT Hub: a call of the back end that waits for its answer.

Microsoft, "Communicate with an IoT hub using the MQTT protocol", section "Respond to a direct method": requests
on $iothub/methods/POST/{name}/?$rid={id}, answers on $iothub/methods/res/{status}/?$rid={id}. The hub keeps no
call: one that finds no device, or no answer in its time, fails there. What reads a call is loaded for it, see
azure_calls.
"""

from fieldpost.limits import COMMANDS_QUEUED_MAX

_REQUEST = "$iothub/methods/POST/"
_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
_ERROR = 500
_STATUS_CODES = {"done": _OK, "refused": _BAD_REQUEST}
VIA = "method"


class Methods:
    """A channel of the session (see uplink.session). commands: the executor, which knows the methods as commands.

    origin: text that no other boot of this device has: the hub numbers its calls, and begins anew at will.
    connection: counts them.
    """

    subscriptions = ((_REQUEST + "#", 0),)

    def __init__(self, commands, origin):
        self.commands = commands
        self.origin = origin
        self.connection = 0
        self._answers = []  # (topic, body) that wait for room on the link

    def ready(self, now_ms):
        """All subscriptions are granted."""

    def closed(self):
        """The connection is gone, and nobody waits for the answers any more."""
        self.connection += 1
        self._answers.clear()

    def take(self, topic, payload, size=None):
        """Take a message (topic: str); return whether it was for this channel.

        size: bytes of a payload that was passed over, None of one that is there.
        """
        if not topic.startswith(_REQUEST):
            return False
        try:
            from fieldpost.hubs.azure_calls import take  # calls are rare: vocabulary puts it away

            take(self, topic[len(_REQUEST) :], payload, size)
        except MemoryError:
            self.commands.turn_away(VIA)  # nobody can be answered; the caller's time runs out
        return True

    def take_long(self, topic, size):
        """Answer a call whose payload of `size` bytes was passed over; return whether it was for this channel."""
        return self.take(topic, b"", size)

    def finished(self, call, status, answer):
        """The command is finished. status: of its answer (commands.journal.STATUSES). answer: JSON (bytes), or None."""
        connection, request_id, is_known = call
        if connection == self.connection:
            self.answer(request_id, _STATUS_CODES.get(status, _ERROR) if is_known else _NOT_FOUND, answer or b"{}")

    def step(self, now_ms, link):
        """Send the answers that wait."""
        while self._answers and link.publish(*self._answers[0], 0, False):
            self._answers.pop(0)

    def answer(self, request_id, code, body):
        """Send an answer when there is room. request_id: percent-encoded. code: HTTP's. body: JSON (bytes)."""
        if len(self._answers) < COMMANDS_QUEUED_MAX:
            self._answers.append((("$iothub/methods/res/%d/?$rid=%s" % (code, request_id)).encode(), body))
