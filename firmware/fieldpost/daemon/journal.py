"""Lines with a level and fields: to journald in its own protocol, else to stderr.

Protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. journald is asked for only when stderr leads to it
($JOURNAL_STREAM, systemd.exec(5)); a line that it does not take goes to stderr with its level in front
(sd-daemon(3)), where systemd reads it too.
"""

import os
import socket
import sys

ERROR = 3
WARNING = 4
NOTICE = 5
INFO = 6

SOCKET = "/run/systemd/journal/socket"


class Journal:
    """Where the service writes. identifier: the name in front of each line."""

    def __init__(self, environment, identifier="fieldpost", path=SOCKET):
        self._identifier = identifier
        self._has_levels = _is_stream(environment.get("JOURNAL_STREAM", ""), sys.stderr)
        self._socket = None
        if self._has_levels:
            try:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.connect(path)
                self._socket.setblocking(False)
            except OSError:
                self._socket = None

    def write(self, level, message, **fields):
        """Write one line. level: ERROR to INFO. fields: names become FIELDPOST_NAME; values are texts or numbers."""
        if self._socket is not None:
            try:
                self._socket.send(_datagram(self._identifier, level, message, fields))
                return
            except BlockingIOError:
                return  # journald does not keep up: a line less is better than a reading less
            except OSError:
                pass  # journald is being restarted, or the line is too long for it
        prefix = "<%d>" % level if self._has_levels else ""
        print(prefix + message.replace("\n", " "), file=sys.stderr, flush=True)

    def warn(self, message):
        """Write a warning: what the agent says of its own accord is trouble."""
        self.write(WARNING, message)


def _is_stream(stream, file):
    """Return whether `file` is what $JOURNAL_STREAM (device:inode) names."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, ValueError):
        return False
    return stream == "%d:%d" % (status.st_dev, status.st_ino)


def _datagram(identifier, level, message, fields):
    pairs = [("MESSAGE", message), ("PRIORITY", level), ("SYSLOG_IDENTIFIER", identifier)]
    pairs += [("FIELDPOST_" + name.upper(), value) for name, value in fields.items()]
    datagram = b""
    for name, value in pairs:
        data = str(value).encode()
        if b"\n" in data:
            datagram += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            datagram += name.encode() + b"=" + data + b"\n"
    return datagram
