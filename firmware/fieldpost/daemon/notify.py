"""What a service tells systemd: sd_notify(3) without a library, one datagram for each message."""

import os
import socket


class Notify:
    """The way to systemd, from $NOTIFY_SOCKET and $WATCHDOG_USEC; silent where there is none.

    feed_interval_s: how often the watchdog is to be fed, None if systemd does not watch this process.
    """

    def __init__(self, environment):
        self._socket = None
        address = environment.get("NOTIFY_SOCKET", "")
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A manager that does not read would otherwise hold up the readings after a dozen messages.
            self._socket.setblocking(False)
            self._socket.connect("\0" + address[1:] if address[0] == "@" else address)
        self.feed_interval_s = _feed_interval_s(environment) if self._socket else None

    def ready(self, status):
        """The service does its work from now on."""
        self._send("READY=1", "STATUS=" + status)

    def status(self, status):
        """One line for `systemctl status`."""
        self._send("STATUS=" + status)

    def feed(self):
        """The service is well."""
        self._send("WATCHDOG=1")

    def stopping(self, status):
        """The service is on its way out."""
        self._send("STOPPING=1", "STATUS=" + status)

    def _send(self, *assignments):
        if self._socket is not None:
            try:
                self._socket.send("\n".join(assignments).encode())
            except OSError:
                pass  # systemd is being restarted, or busy; the next message finds it


def _feed_interval_s(environment):
    """Return a quarter of the time that systemd waits: two messages may go astray."""
    try:
        usec = int(environment.get("WATCHDOG_USEC", "0"))
        pid = int(environment.get("WATCHDOG_PID", "0")) or os.getpid()
    except ValueError:
        return None
    return usec / 4e6 if usec > 0 and pid == os.getpid() else None
