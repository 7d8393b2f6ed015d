"""Plain TCP with the interface of links.tls.Stream, for brokers that ask for it; it is never a fallback."""

from fieldpost.compat import is_micropython

if is_micropython:

    class Stream:
        """A connected, non-blocking socket."""

        def __init__(self, raw):
            self.pollable = raw
            self.write = raw.write
            self.read_into = raw.readinto
            self.close = raw.close

else:

    class Stream:
        """A connected, non-blocking socket."""

        def __init__(self, raw):
            self.pollable = raw
            self.close = raw.close

        def write(self, data):
            try:
                return self.pollable.send(data)
            except BlockingIOError:
                return None

        def read_into(self, buffer):
            try:
                return self.pollable.recv_into(buffer)
            except BlockingIOError:
                return None
