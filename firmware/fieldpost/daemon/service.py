"""The agent's loop under systemd: steps, watchdog, status line, and an end that leaves nothing undone."""

import time

from fieldpost.compat import ticks_ms
from fieldpost.daemon.journal import INFO, NOTICE, WARNING
from fieldpost.errors import FieldpostError

_STATUS_INTERVAL_S = 5
_DRAIN_S = 2  # at the end: what can still leave may leave, so that less is sent twice
_TURN_MS_MAX = 100


class Service:
    """Runs a Device until `stop` is called, from a signal handler if need be.

    notify, journal: see those modules. endpoints: asked between two steps (see endpoint.Endpoint).
    """

    def __init__(self, device, port, notify, journal, endpoints=()):
        self._device = device
        self._port = port
        self._notify = notify
        self._journal = journal
        self._endpoints = endpoints
        self._is_stopping = False
        self._wants_restart = False
        self._next_feed_s = 0.0
        self._next_status_s = 0.0
        self._status = ""
        self._stalled = None
        self._session_state = ""
        self._session_error = ""
        self._failing = set()  # names of sensors

    def stop(self):
        """Let `run` come to its end."""
        self._is_stopping = True

    def run(self):
        """Run until stopped. Raises OSError if the ring's file fails: what is known of it is then to be read anew."""
        device = self._device
        self._journal.write(
            NOTICE,
            "started: boot %d, %d records wait" % (device.boot, self._pending()),
            event="started",
            boot=device.boot,
            pending=self._pending(),
        )
        self._notify.ready(self._status_line())
        try:
            while not self._is_stopping:
                wait_ms = device.step()
                device.poll()
                now_s = time.monotonic()
                self._feed(now_s)
                self._tell_changes()
                self._tell_status(now_s)
                for endpoint in self._endpoints:
                    endpoint.poll(now_s)
                if device.wants_restart:
                    self._journal.write(NOTICE, "restarting, as the hub asked", event="restart")
                    self._wants_restart = True
                    break
                device.link.wait(min(wait_ms, _TURN_MS_MAX))
            self._notify.stopping("storing what is left")
            self._drain()
            pending = self._pending()
        finally:
            self._close()
        self._journal.write(NOTICE, "stopped: %d records wait" % pending, event="stopped", pending=pending)
        if self._wants_restart:
            self._port.reset()

    def _feed(self, now_s):
        stalled = self._device.agent.stalled()
        if stalled is not None:
            if stalled != self._stalled:
                self._journal.write(WARNING, "%s has stalled: systemd's watchdog goes hungry" % stalled, duty=stalled)
        elif self._notify.feed_interval_s is not None and now_s >= self._next_feed_s:
            self._next_feed_s = now_s + self._notify.feed_interval_s
            self._notify.feed()
        self._stalled = stalled

    def _tell_changes(self):
        session = self._device.session
        if session.state != self._session_state:
            self._next_status_s = 0.0
        if session.state == "ready" and self._session_state != "ready":
            self._journal.write(INFO, "connected to the hub", event="connected")
            self._session_error = ""
        elif session.last_error and session.last_error != self._session_error:
            self._session_error = session.last_error
            self._journal.write(
                WARNING, "no connection to the hub: " + session.last_error, event="disconnected", state=session.state
            )
        self._session_state = session.state
        for sampler in self._device.agent.samplers:
            if sampler.error:
                self._failing.add(sampler.name)
            elif sampler.name in self._failing:
                self._failing.remove(sampler.name)
                self._journal.write(
                    INFO,
                    "%s answers again after %d failures" % (sampler.name, sampler.failures),
                    event="sensor_recovered",
                    sensor=sampler.name,
                    failures=sampler.failures,
                )

    def _tell_status(self, now_s):
        if now_s < self._next_status_s:
            return
        self._next_status_s = now_s + _STATUS_INTERVAL_S
        status = self._status_line()
        if status != self._status:
            self._status = status
            self._notify.status(status)

    def _status_line(self):
        device = self._device
        line = "%s; %d records wait, %d confirmed, %d lost" % (
            device.session.state,
            self._pending(),
            device.outbox.acked_records,
            device.ring.lost + device.urgent.lost,
        )
        if device.agent.sensor_failures:
            line += "; sensors failed %d times" % device.agent.sensor_failures
        return line

    def _pending(self):
        return self._device.ring.pending + self._device.urgent.pending

    def _drain(self):
        """Make durable first; then let the hub confirm what it has been sent, for as long as that is polite."""
        device = self._device
        self._sync()
        deadline_s = time.monotonic() + _DRAIN_S
        while device.session.state == "ready" and self._pending() and time.monotonic() < deadline_s:
            device.session.step(device.clock.advance(ticks_ms()))
            device.link.wait(20)

    def _sync(self):
        self._device.urgent.sync()
        self._device.ring.sync()

    def _close(self):
        device = self._device
        for name, act in (
            ("outputs", device.make_safe),
            ("link", device.link.close),
            ("rings", self._sync),
            ("file", self._port.close),
            *[("endpoint", endpoint.close) for endpoint in self._endpoints],
        ):
            try:
                act()
            except (OSError, FieldpostError) as error:
                self._journal.write(WARNING, "%s: %s" % (name, error), event="stopping")
