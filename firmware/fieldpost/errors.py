"""Trouble that an operator can act on. Everything else is a bug and asserts."""


class FieldpostError(Exception):
    """The root of all errors that fieldpost raises on purpose."""


class ConfigError(FieldpostError):
    """The configuration is wrong; the message names file, key and what is expected."""


class RecordTooLarge(FieldpostError):
    """`Ring.append` refused a record before writing anything; the ring is as it was.

    size, limit: bytes of payload, frame excluded.
    """

    def __init__(self, size, limit):
        super().__init__("record of %d bytes, limit %d: drop fields or split the reading" % (size, limit))
        self.size = size
        self.limit = limit


class RegionUnusable(FieldpostError):
    """The flash region cannot hold a ring: too small, or its geometry does not fit the format."""


class SensorError(FieldpostError):
    """A sensor did not answer, or answered with something that cannot be a measurement."""


class ClockUnknown(FieldpostError):
    """Something needs the time of day and this boot has not learned it yet."""


class CommandMalformed(FieldpostError):
    """A message from the hub is no command; it is answered with the reason and does not come again.

    command_id, correlation_id: the message's, "" if it has none.
    """

    def __init__(self, command_id, reason, correlation_id=""):
        super().__init__(reason)
        self.command_id = command_id
        self.correlation_id = correlation_id
        self.reason = reason


class Mismatch(FieldpostError):
    """A value is not what its shape asks for; the message names the place, the value and what is expected."""
