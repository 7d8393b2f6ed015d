"""`fieldpost init` writes a file that is right, asks for what is not given, and puts passwords apart."""

import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path

from host_tools.config import read_secrets, read_settings
from tests.flash.bare_bench import run_fieldpost

PASSWORD = "correct horse"


async def test_without_a_terminal_options_are_taken(tmp_path: Path) -> None:
    code, _, err = await run_fieldpost(tmp_path, "init", "--hub", "h.example", "--network", "shed")
    assert code == 0 and "network 'shed' has no password yet" in err
    found = read_settings(tmp_path / "fieldpost.toml")
    assert (found.hub_host, found.networks, found.interval_ms) == ("h.example", ("shed",), 1000)
    code, _, err = await run_fieldpost(tmp_path, "init")
    assert code == 2 and "replace it with --force" in err
    assert read_settings(tmp_path / "fieldpost.toml").hub_host == "h.example"
    code, _, err = await run_fieldpost(tmp_path, "init", "--force")
    assert code == 0, err
    assert read_settings(tmp_path / "fieldpost.toml").is_local


def test_on_a_terminal_it_asks_and_hides_passwords(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    master, slave = pty.openpty()
    words = [sys.executable, "-c", "from host_tools.cli import main; main()", "init"]
    process = subprocess.Popen(words, cwd=tmp_path, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    said = b""
    for question, answer in (
        (b"Azure IoT hub", "https://h.example"),
        (b"expected a host name", "local"),
        (b"Wi-Fi network", "shed"),
        (b"Wi-Fi network", ""),
        (b"between two readings", "5"),
        (b"this is 5: expected an integer from 50", "500"),
        (b"Password of 'shed'", PASSWORD),
    ):
        heard = b""
        while question not in heard:
            heard += os.read(master, 1000)
        said += heard
        while answer == PASSWORD and termios.tcgetattr(master)[3] & termios.ECHO:
            time.sleep(0.01)  # what is typed before the echo is off is thrown away
        os.write(master, answer.encode() + b"\n")
    try:
        while data := os.read(master, 1000):
            said += data
    except OSError:
        pass  # the terminal is gone with the command
    assert process.wait(60) == 0, said
    os.close(master)
    assert PASSWORD.encode() not in said
    assert read_secrets(tmp_path).wifi == {"shed": PASSWORD}
    assert (tmp_path / "fieldpost.secrets.toml").stat().st_mode & 0o777 == 0o600
    assert read_settings(tmp_path / "fieldpost.toml").interval_ms == 500
    assert (tmp_path / ".gitignore").read_text().splitlines() == ["fieldpost.secrets.toml"]
