"""What reads the call of a direct method (see azure_methods). Loaded when one arrives."""

import json

from fieldpost.compat import is_whole_json
from fieldpost.hubs.azure_methods import VIA
from fieldpost.hubs.properties import quote
from fieldpost.hubs.property_bag import decode, unquote

_TOO_MANY = 429


def take(methods, call, payload, size):
    """Make a command of a call. call: the topic behind "POST/" (str). size: bytes of a payload that was passed over.

    Raises MemoryError if there is no room for what a command needs: nothing was taken then.
    """
    name, _, bag = call.partition("/")
    request_id = None
    arguments = ()
    try:
        request_id = decode(bag).get("$rid")
        name = unquote(name)
        text = str(payload, "utf-8")
        if is_whole_json(text):
            arguments = json.loads(text) if text else None
    except (ValueError, RuntimeError, MemoryError):  # nested more deeply, or made of more, than memory allows
        pass
    if not request_id:
        return  # nobody could be answered
    commands = methods.commands
    command_id = "method-%s-%d-%s" % (methods.origin, methods.connection, request_id)
    request_id = quote(request_id)
    token = methods, (methods.connection, request_id, size is not None or commands.knows(name))
    if size is not None:
        reason = "a payload of %d bytes is too long for this device" % size
        is_taken = commands.refuse(command_id, reason, token, VIA)
    elif arguments is None or isinstance(arguments, dict):
        is_taken = commands.submit(command_id, name, arguments or {}, None, token, None, VIA)
    else:
        is_taken = commands.refuse(command_id, "the payload is no JSON object", token, VIA)
    if not is_taken:
        commands.turn_away(VIA)
        reason = b'{"status":"refused","result":{"reason":"too many commands wait"}}'
        methods.answer(request_id, _TOO_MANY, reason)
