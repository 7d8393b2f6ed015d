"""The parts of the service that speak with systemd and journald, each against a real socket of its kind."""

from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace

import pytest
from fieldpost.daemon import journal as journal_module
from fieldpost.daemon.journal import INFO, WARNING, Journal
from fieldpost.daemon.notify import Notify
from fieldpost.daemon.service import Service


@pytest.fixture
def datagrams(run):
    """A bound datagram socket; its path is `datagrams.getsockname()`."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(run / "socket"))
    receiver.settimeout(60)
    yield receiver
    receiver.close()


def test_without_systemd_nothing_is_sent_and_nothing_fails():
    notify = Notify({})
    notify.ready("up")
    notify.feed()
    notify.stopping("bye")
    assert notify.feed_interval_s is None


def test_an_address_in_the_abstract_namespace_is_reached():
    name = f"fieldpost-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(60)
        Notify({"NOTIFY_SOCKET": "@" + name}).ready("all is well")
        assert receiver.recv(100) == b"READY=1\nSTATUS=all is well"


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 7.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 7.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_four_times_in_its_time(datagrams, environment, interval_s):
    notify = Notify({"NOTIFY_SOCKET": datagrams.getsockname(), **environment})
    assert notify.feed_interval_s == interval_s


def test_a_manager_that_does_not_read_holds_nothing_up(datagrams):
    notify = Notify({"NOTIFY_SOCKET": datagrams.getsockname()})
    for _ in range(10_000):  # net.unix.max_dgram_qlen is 10 to 512
        notify.feed()
    assert datagrams.recv(100) == b"WATCHDOG=1"


def test_journald_gets_level_and_fields(datagrams, monkeypatch):
    status = os.fstat(sys.stderr.fileno()) if _has_descriptor() else None
    if status is None:
        monkeypatch.setattr(journal_module, "_is_stream", lambda stream, file: True)
        environment = {}
    else:
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    journal = Journal(environment, path=datagrams.getsockname())
    journal.write(INFO, "connected to the hub", event="connected", waits=3)
    assert datagrams.recv(1000) == (
        b"MESSAGE=connected to the hub\nPRIORITY=6\nSYSLOG_IDENTIFIER=fieldpost\n"
        b"FIELDPOST_EVENT=connected\nFIELDPOST_WAITS=3\n"
    )
    journal.warn("one\ntwo")
    assert datagrams.recv(1000).startswith(b"MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\nPRIORITY=4\n")


def _has_descriptor():
    try:
        sys.stderr.fileno()
    except (OSError, ValueError):
        return False
    return True


def test_without_journald_lines_go_to_stderr(capsys, monkeypatch):
    Journal({}).write(WARNING, "no\nnetwork")
    assert capsys.readouterr().err == "no network\n"
    monkeypatch.setattr(journal_module, "_is_stream", lambda stream, file: True)
    Journal({}, path="/nowhere").write(WARNING, "no network")
    assert capsys.readouterr().err == "<4>no network\n"


class StubDevice:
    """As much of a Device as the loop touches; `stall` names the duty that has died."""

    def __init__(self):
        self.stall = None
        self.turns = 0
        self.events = []
        self.boot = 1
        self.wants_restart = False
        self.agent = SimpleNamespace(
            stalled=lambda: self.stall,
            sensor_failures=0,
            samplers=[],
        )
        self.session = SimpleNamespace(state="down", last_error="")
        self.ring = SimpleNamespace(pending=7, lost=0, sync=lambda: self.events.append("sync"))
        self.urgent = SimpleNamespace(pending=0, lost=0, sync=lambda: self.events.append("sync urgent"))
        self.outbox = SimpleNamespace(acked_records=0)
        self.make_safe = lambda: self.events.append("safe")
        self.link = SimpleNamespace(wait=lambda ms: None, close=lambda: self.events.append("closed"))
        self.on_turn = lambda: None

    def step(self):
        self.turns += 1
        self.on_turn()
        return 0

    def poll(self): ...

    def close(self):
        self.events.append("file")


class StubNotify:
    feed_interval_s = 0.0

    def __init__(self):
        self.feeds = 0

    def feed(self):
        self.feeds += 1

    def ready(self, status): ...

    status = stopping = ready


def test_the_watchdog_goes_hungry_while_a_duty_is_dead(capsys):
    device, notify = StubDevice(), StubNotify()
    service = Service(device, device, notify, Journal({}))

    def on_turn():
        device.stall = "send" if 3 <= device.turns < 6 else None
        if device.turns == 8:
            service.stop()

    device.on_turn = on_turn
    service.run()
    assert notify.feeds == 8 - 3
    assert capsys.readouterr().err.count("send has stalled") == 1


def test_whatever_ends_the_loop_the_ring_is_synced_and_closed_and_outputs_are_safe(capsys):
    device = StubDevice()
    device.on_turn = lambda: (_ for _ in ()).throw(OSError(5, "the card is gone"))
    with pytest.raises(OSError, match="the card is gone"):
        Service(device, device, StubNotify(), Journal({})).run()
    assert device.events == ["safe", "closed", "sync urgent", "sync", "file"]
