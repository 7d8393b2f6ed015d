"""One command as it arrived: which, with what, until when. Nothing here judges it beyond its form.

    body {"command":"gpio.set","arguments":{"pin":"relay","value":1}}, or
    a property `command` with the name and a body with the arguments alone
"""

import json

from fieldpost.errors import FieldpostError
from fieldpost.limits import COMMAND_BODY_BYTES_MAX


class CommandMalformed(FieldpostError):
    """A message is no command. id: its message id, "" if it has none; reason: for the one who sent it."""

    def __init__(self, message_id, reason):
        super().__init__(reason)
        self.id = message_id
        self.reason = reason


class Command:
    """id: message id (`$.mid` at Azure), "" if the sender gave none. arguments: dict.

    expires_ms: Unix time in ms after which it must not act any more, or None.
    """

    def __init__(self, message_id, name, arguments, expires_ms=None):
        self.id = message_id
        self.name = name
        self.arguments = arguments
        self.expires_ms = expires_ms


def parse(message_id, body, name=None, expires_ms=None):
    """Return the Command in `body` (bytes-like, UTF-8 JSON); raise CommandMalformed if there is none.

    name: from the property `command`, if the message carries one; the body is then the arguments, and an
    empty body means no arguments.
    """
    if len(body) > COMMAND_BODY_BYTES_MAX:
        raise CommandMalformed(
            message_id, "body of %d bytes: expected %d at most" % (len(body), COMMAND_BODY_BYTES_MAX)
        )
    if name is not None and len(body) == 0:
        return Command(message_id, name, {}, expires_ms)
    try:
        value = json.loads(str(body, "utf-8"))
    except ValueError:  # UnicodeError is one too
        raise CommandMalformed(message_id, "body is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise CommandMalformed(message_id, "body is not a JSON object")
    if name is not None:
        return Command(message_id, name, value, expires_ms)
    for key in value:
        if key not in ("command", "arguments"):
            raise CommandMalformed(message_id, "body has unknown keys: expected command, arguments")
    name = value.get("command")
    if not isinstance(name, str) or not name:
        raise CommandMalformed(message_id, "command is missing: expected a name such as gpio.set")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        raise CommandMalformed(message_id, "arguments is not an object")
    return Command(message_id, name, arguments, expires_ms)
