"""A command's answer as bounded JSON: whole and valid whatever was asked for.

    {"id":"7f3c","status":"done","via":"message","cid":"42","command":"gpio.set","result":{"pin":"relay","value":1}}

It is the audit record too: `via` is the way in which the command came, and the record around it says when.
Written by hand because dicts have no order on MicroPython, and in ASCII alone because an id or a name may
hold what the two interpreters encode differently. What does not fit in RESULT_TEXT_BYTES_MAX goes in this
order: the end of a reason, the result, the command's name, the correlation id, the end of the id. An id of 128
characters, the longest that IoT Hub takes, always fits whole.
"""

from fieldpost.limits import COMMAND_NAME_CHARS_MAX, RESULT_TEXT_BYTES_MAX

_FRAME_BYTES = len('{"id":"","status":"interrupted","via":"message"}')


def encode(message_id, status, name, result, via="message", correlation_id=""):
    """Return the answer as bytes.

    status: one of journal.STATUSES. name: as it was asked for, "" if there was none.
    result: pairs of key and value (str, int, bool; bytes for what is JSON already, such as a decimal number that no
    float may touch); only the value of the key "reason" may be shortened.
    via: "message", "method" or "twin". correlation_id: what the sender calls it, "" if nothing.
    """
    id_text = escaped(message_id, RESULT_TEXT_BYTES_MAX - _FRAME_BYTES)
    text = '{"id":"%s","status":"%s","via":"%s"' % (id_text, status, via)
    if correlation_id:
        addition = ',"cid":"%s"' % escaped(correlation_id, RESULT_TEXT_BYTES_MAX)
        if len(text) + len(addition) < RESULT_TEXT_BYTES_MAX:
            text += addition
    if name:
        addition = ',"command":"%s"' % escaped(name, COMMAND_NAME_CHARS_MAX)
        if len(text) + len(addition) < RESULT_TEXT_BYTES_MAX:
            text += addition
    room = RESULT_TEXT_BYTES_MAX - len(text) - len(',"result":{}}')
    members = _members(result, room)
    if members is not None:
        text += ',"result":{%s}' % members
    return (text + "}").encode()


def encode_alarm(what, state, more):
    """Return an alarm as bytes. what, state: short texts. more: pairs as in the result of `encode`."""
    text = '{"alarm":"%s","state":"%s"' % (what, state)
    members = _members(more, RESULT_TEXT_BYTES_MAX - len(text) - len(",}"))
    return (text + ("," + members if members else "") + "}").encode()


def escaped(text, bytes_max):
    """Return `text` as the inside of a JSON string (RFC 8259 section 7) in ASCII.

    A text that would take more than `bytes_max` bytes is cut between two characters and ends in "...".
    """
    kept = bytearray()
    room = bytes_max - len("...")
    length = 0  # of what leaves room for the dots
    code = more = 0
    # By its characters, MicroPython would keep each different one for ever (py/objstr.c).
    for byte in text.encode("utf-8", "surrogatepass"):
        if byte < 0x80:
            code = byte
        elif byte < 0xC0:
            code = code << 6 | byte & 0x3F
            more -= 1
        else:
            more = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
            code = byte & 0x3F >> more
        if more:
            continue
        piece = _escaped_character(code)
        if len(kept) + len(piece) > bytes_max:
            return str(kept[:length], "ascii") + "..."
        kept.extend(piece)
        if len(kept) <= room:
            length = len(kept)
    return str(kept, "ascii")


def _escaped_character(code):
    if code == 0x22 or code == 0x5C:
        return bytes((0x5C, code))
    if 0x20 <= code < 0x7F:
        return bytes((code,))
    if code < 0x10000:
        return b"\\u%04x" % code
    code -= 0x10000
    return b"\\u%04x\\u%04x" % (0xD800 | code >> 10, 0xDC00 | code & 0x3FF)


def _members(result, room):
    """Return the inside of the result object in at most `room` bytes, or None if it has no place."""
    pieces = []
    for key, value in result:
        if pieces:
            room -= 1  # the comma before it
        if key == "reason":
            value_room = room - len('"reason":""')
            if value_room < len("..."):
                return None
            piece = '"reason":"%s"' % escaped(value, value_room)
        else:
            piece = '"%s":%s' % (key, _value(value))
        room -= len(piece)
        if room < 0:
            return None
        pieces.append(piece)
    return ",".join(pieces)


def _value(value):
    if isinstance(value, str):
        return '"%s"' % escaped(value, RESULT_TEXT_BYTES_MAX)
    if isinstance(value, bytes):
        return str(value, "ascii")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "%d" % value
