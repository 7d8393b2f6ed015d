"""The control socket: a request in, a result or one sentence out."""

import asyncio
import socket

import pytest

from host_tools.errors import UserError
from host_tools.lab.client import ask, is_running
from host_tools.lab.control import ControlServer
from host_tools.lab.folder import LabFolder


async def echo(verb, arguments):
    if verb == "refuse":
        raise UserError("not today: try tomorrow")
    if verb == "hang":
        await asyncio.sleep(3600)
    return {"verb": verb, **arguments}


def with_lab(tmp_path, ask_it):
    """Run `ask_it(folder)` in a thread while a lab serves `echo`, and return what it returns."""

    async def run():
        folder = LabFolder("kitchen", tmp_path)
        folder.claim()
        server = ControlServer(folder, echo)
        await server.start()
        try:
            return await asyncio.to_thread(ask_it, folder)
        finally:
            await server.stop()
            folder.release()

    return asyncio.run(run())


def test_an_answer_comes_back(tmp_path):
    assert with_lab(tmp_path, lambda folder: ask(folder, "status", {"a": 1})) == {"verb": "status", "a": 1}


def test_a_refusal_is_the_users_sentence(tmp_path):
    with pytest.raises(UserError, match="not today: try tomorrow"):
        with_lab(tmp_path, lambda folder: ask(folder, "refuse", {}))


def test_a_lab_that_hangs_is_given_up(tmp_path):
    with pytest.raises(UserError, match=r"did not answer in 0\.05 s"):
        with_lab(tmp_path, lambda folder: ask(folder, "hang", {}, timeout_s=0.05))


def test_rubbish_is_answered_and_does_not_end_the_lab(tmp_path):
    def send_rubbish(folder):
        with socket.socket(socket.AF_UNIX) as connection:
            with folder.socket_address() as address:
                connection.connect(address)
            connection.sendall(b"[]\n")
            assert b"did not understand" in connection.recv(1000)
        return ask(folder, "status", {})

    assert with_lab(tmp_path, send_rubbish) == {"verb": "status"}


def test_a_lab_that_is_not_running_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = LabFolder("kitchen")
    assert not is_running(folder)
    with pytest.raises(UserError, match=r"'kitchen' is not running: start it with"):
        ask(folder, "status", {})


def test_a_path_longer_than_a_socket_address_works(tmp_path):
    assert with_lab(tmp_path / ("x" * 120), lambda folder: ask(folder, "status", {})) == {"verb": "status"}
