"""Direct methods of Azure IoT Hub: a call of the back end that waits for its answer.

Microsoft, "Communicate with an IoT hub using the MQTT protocol", section "Respond to a direct method": requests
on $iothub/methods/POST/{name}/?$rid={id}, answers on $iothub/methods/res/{status}/?$rid={id}. The hub keeps no
call: one that finds no device, or no answer in its time, fails there.
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.hubs import properties
from fieldpost.limits import COMMANDS_QUEUED_MAX

_REQUEST = "$iothub/methods/POST/"
_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
_TOO_MANY = 429
_ERROR = 500
_STATUS_CODES = {"done": _OK, "refused": _BAD_REQUEST}
_VIA = "method"


class Methods:
    """A channel of the session (see uplink.session). commands: the executor, which knows the methods as commands.

    origin: text that no other boot of this device has: the hub numbers its calls, and begins anew at will.
    """

    subscriptions = ((_REQUEST + "#", 0),)

    def __init__(self, commands, origin):
        self._commands = commands
        self._origin = origin
        self._connection = 0
        self._answers = []  # (topic, body) that wait for room on the link

    def ready(self, now_ms):
        """All subscriptions are granted."""

    def closed(self):
        """The connection is gone, and nobody waits for the answers any more."""
        self._connection += 1
        self._answers.clear()

    def take(self, topic, payload):
        """Take a message (topic: str); return whether it was for this channel."""
        if not topic.startswith(_REQUEST):
            return False
        name, _, bag = topic[len(_REQUEST) :].partition("/")
        try:
            request_id = properties.decode(bag).get("$rid")
            name = properties.unquote(name)
            text = str(payload, "utf-8")
            if not is_whole_json(text):
                raise ValueError
            arguments = json.loads(text) if text else None
        except (ValueError, RuntimeError, MemoryError):  # nested more deeply, or made of more, than memory allows
            arguments = ()
        if not request_id:
            return True  # nobody could be answered
        token = self, (self._connection, request_id, self._commands.knows(name))
        command_id = "method-%s-%d-%s" % (self._origin, self._connection, request_id)
        if arguments is None:
            arguments = {}
        if isinstance(arguments, dict):
            is_taken = self._commands.submit(command_id, name, arguments, None, token, None, _VIA)
        else:
            is_taken = self._commands.refuse(command_id, "the payload is no JSON object", token, _VIA)
        if not is_taken:
            self._commands.turn_away(_VIA)
            self._answer(request_id, _TOO_MANY, b'{"status":"refused","result":{"reason":"too many commands wait"}}')
        return True

    def take_long(self, topic, size):
        """Answer a call whose payload of `size` bytes was passed over; return whether it was for this channel."""
        if not topic.startswith(_REQUEST):
            return False
        bag = topic[len(_REQUEST) :].partition("/")[2]
        reason = "a payload of %d bytes is too long for this device" % size
        try:
            request_id = properties.decode(bag).get("$rid")
        except ValueError:
            return True
        token = self, (self._connection, request_id, True)
        command_id = "method-%s-%d-%s" % (self._origin, self._connection, request_id)
        if request_id and not self._commands.refuse(command_id, reason, token, _VIA):
            self._commands.turn_away(_VIA)
        return True

    def finished(self, call, status, answer):
        """The command is finished. status: of its answer (commands.journal.STATUSES). answer: JSON (bytes), or None."""
        connection, request_id, is_known = call
        if connection == self._connection:
            code = _STATUS_CODES.get(status, _ERROR) if is_known else _NOT_FOUND
            self._answer(request_id, code, answer or b"{}")

    def step(self, now_ms, link):
        """Send the answers that wait."""
        while self._answers and link.publish(*self._answers[0], 0, False):
            self._answers.pop(0)

    def _answer(self, request_id, code, body):
        if len(self._answers) < COMMANDS_QUEUED_MAX:
            topic = "$iothub/methods/res/%d/?$rid=%s" % (code, properties.quote(request_id))
            self._answers.append((topic.encode(), body))
