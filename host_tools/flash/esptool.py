"""Drives esptool as its own program (its licence asks for that), and says in the user's terms why it failed."""

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.flash.esp_firmware import Piece

_BAUD = 460_800
_TIMEOUT_S = 900
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_READ_BYTES = 4096
_NO_ANSWER = ("Failed to connect", "No serial data received", "Invalid head of packet", "Timed out waiting")
_IN_USE = ("port is busy", "Could not open", "could not open port", "Resource temporarily unavailable")
_WENT_AWAY = (
    "Input/output error", "Errno 5", "Device not configured", "device disconnected", "SerialException",
    "readiness to read", "Bad file descriptor", "No such device", "The chip stopped responding",
)  # fmt: skip


@dataclass(frozen=True)
class Chip:
    """What answered: chip as esptool's --chip wants it, such as esp32s3; mac with colons."""

    name: str
    mac: str
    flash_bytes: int


class Esptool:
    """Of the board on `port`. Every method raises UserError, and what it says has changed nothing else."""

    def __init__(self, port: str) -> None:
        self._port = port

    def identify(self) -> Chip:
        """Return which chip is there. It is left in its boot loader's reset."""
        said = self._run(["flash-id"])
        name = re.search(r"Connected to (\S+) on", said)
        mac = re.search(r"MAC:\s+([0-9a-f:]{17})", said)
        size = re.search(r"Detected flash size: (\d+)(KB|MB)", said)
        if name is None or mac is None or size is None:
            raise UserError(f"esptool did not say which chip is on {self._port}: {_last_line(said)}")
        unit = {"KB": 1024, "MB": 1024 * 1024}[size[2]]
        return Chip(name[1].lower().replace("-", ""), mac[1], int(size[1]) * unit)

    def read(self, offset: int, length: int) -> bytes:
        """Return a part of the flash."""
        with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
            path = Path(work) / "read.bin"
            self._run(["read-flash", hex(offset), hex(length), str(path)])
            return path.read_bytes()

    def present(self, wanted: Sequence[Piece]) -> list[bool]:
        """Return for each piece whether it is in flash already; the board computes its own MD5 sums."""
        with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
            said = self._run(["verify-flash", *_files(wanted, Path(work))], may_fail="Verification failed")
        results = re.findall(r"Verification (successful|failed) \(digest", said)
        if len(results) != len(wanted):
            raise UserError(f"esptool did not compare the flash on {self._port}: {_last_line(said)}")
        return [result == "successful" for result in results]

    def write(self, wanted: Sequence[Piece], on_share: Callable[[float], None]) -> None:
        """Write the pieces in this order; esptool checks each of them. on_share: takes how much is done, 0 to 1."""
        sizes = [len(piece.data) for piece in wanted]
        total = sum(sizes)
        for number, piece in enumerate(wanted):
            before = sum(sizes[:number])

            def part(share: float, before: int = before, size: int = sizes[number]) -> None:
                on_share((before + share * size) / total)

            with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
                self._run(["write-flash", *_files([piece], Path(work))], part)
        on_share(1.0)

    def erase(self, offset: int, length: int) -> None:
        """Erase whole sectors."""
        self._run(["erase-region", hex(offset), hex(length)])

    def erase_all(self) -> None:
        """Erase the whole flash."""
        self._run(["erase-flash"])

    def _run(self, command: list[str], on_share: Callable[[float], None] | None = None, may_fail: str = "") -> str:
        """Run esptool and return what it said."""
        words = [sys.executable, "-m", "esptool", "--port", self._port, "--baud", str(_BAUD), *command]
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            timer = threading.Timer(_TIMEOUT_S, process.kill)
            timer.start()
            said = ""
            try:
                while data := process.stdout.read1(_READ_BYTES):  # type: ignore[attr-defined]
                    text = data.decode("utf-8", "replace")
                    said += text
                    shares = _PERCENT.findall(text)
                    if shares and on_share is not None:
                        on_share(float(shares[-1]) / 100)
            except BaseException:
                process.kill()
                raise
            finally:
                timer.cancel()
        if process.returncode != 0 and not (may_fail and may_fail in said):
            raise UserError(self._explain(said))
        return said

    def _explain(self, said: str) -> str:
        port = self._port
        is_gone = port.startswith("/") and not Path(port).exists()
        if is_gone or any(words in said for words in _WENT_AWAY):
            return (
                f"the board on {port} went away: plug it in again and run the same command; "
                "what was written stays, and it goes on from there"
            )
        if any(words in said for words in _IN_USE):
            return f"port {port} is in use or gone: close the program that has it (a terminal, an IDE), try again"
        if any(words in said for words in _NO_ANSWER):
            return (
                f"the board on {port} does not answer: use a cable that carries data; if that is so, hold its BOOT "
                "button, press RESET (EN) once, and try again"
            )
        return f"esptool failed on {port}: {_last_line(said)}. Run the same command again; it goes on where it stopped"


def _files(pieces: Sequence[Piece], folder: Path) -> list[str]:
    words = []
    for piece in pieces:
        path = folder / f"{piece.offset:08x}.bin"
        path.write_bytes(piece.data)
        words += [hex(piece.offset), str(path)]
    return words


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if "fatal error" in line]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ").removeprefix("A fatal error occurred: ")
