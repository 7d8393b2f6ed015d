"""From a bare board to a delivering one: look, plan, MicroPython, agent, first reading. Every step can be repeated."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from host_tools.boards import Board
from host_tools.errors import UserError
from host_tools.flash import board_scripts, bootsel, devices, esp32, first_reading, mpremote, prompt, uf2
from host_tools.flash.devices import Device
from host_tools.flash.esptool import Esptool
from host_tools.flash.install import install
from host_tools.flash.progress import Progress
from host_tools.flash.prompt import About
from host_tools.flash.release import Release, firmware_file, release_for
from host_tools.toolchain import firmware as agent

_PORT_APPEARS_S = 30.0
_DRIVE_APPEARS_S = 20.0
_LOOK_S = 0.2
_PROMPT_ATTEMPTS = 4

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Job:
    """What is to be put on which board.

    port, drive: where it is, if that is known. firmware: a file; None takes the pinned release if one is needed.
    identity: None keeps the board's own. config: given the device's name and what the board says, returns its
    config.json. arrived: given that, returns what asks the hub for a first reading; None asks the board alone.
    wait: for that reading.
    tree: the agent, built already. user_commands: a file with commands of the user's own, unless the tree has it.
    """

    board: Board
    config: Callable[[str, About], dict[str, Any]]
    identity: Mapping[str, Any] | None
    port: str | None = None
    drive: Path | None = None
    firmware: Path | None = None
    wipe: bool = False
    wait: bool = True
    arrived: Callable[[Mapping[str, Any]], first_reading.Arrived | None] | None = None
    emulated: tuple[Path, ...] = ()
    tree: Path | None = None
    user_commands: Path | None = None


@dataclass(frozen=True)
class Look:
    """What was found on the board, and what will be done."""

    device: Device
    about: About | None
    release: Release
    firmware: Path | None
    work: esp32.Work | None
    plan: list[str]


def look(job: Job, progress: Progress) -> Look:
    """Find the board, see what it is, and plan; nothing is changed but that its program is stopped.

    UserError if it cannot be done; the program runs again then.
    """
    board = job.board
    release = release_for(board.name)
    family = "rp2" if board.port == "rp2" else "esp32"
    device = devices.find(family, release.chip, job.port, job.drive, devices.plugged_in(job.emulated))
    progress(f"found {device}")
    plan: list[str] = []
    about = None
    if device.port is not None and (job.firmware is None or family == "rp2"):
        about = prompt.ask(device.port, patience=device.patience)
        progress("it runs " + _described(about) if about else "it has no MicroPython that answers")
    try:
        return _planned(job, device, about, release, plan, progress)
    except UserError:
        leave(device, about)
        raise


def leave(device: Device, about: About | None) -> None:
    """Let a board run on that was stopped to be looked at."""
    if about is not None and device.port is not None:
        with contextlib.suppress(UserError):
            mpremote.run(device.port, ["reset"], 1)


def _planned(
    job: Job, device: Device, about: About | None, release: Release, plan: list[str], progress: Progress
) -> Look:
    _check_name(job, about)
    board = job.board
    family = "rp2" if board.port == "rp2" else "esp32"
    firmware, work = None, None
    if job.firmware is not None or about is None or not _is_ready(board, about):
        firmware = firmware_file(release, job.firmware, progress)
        if family == "esp32":
            assert device.port is not None
            work = esp32.look(Esptool(device.port), board, release, firmware, job.wipe)
            progress(f"it is an {work.chip.name}, MAC {work.chip.mac}, {work.chip.flash_bytes >> 20} MiB of flash")
            plan += work.lines(firmware)
        else:
            assert board.storage is not None
            size = uf2.check_file(firmware, release, board.storage.offset)
            if device.drive is None:
                plan.append("restart the board into its boot loader (BOOTSEL)")
            plan.append(f"copy {firmware.name} to the BOOTSEL drive, {size} bytes of program")
    if job.wipe and work is None:
        plan.append("erase what the board has stored: identity, record numbers and unsent readings go (--wipe)")
    elif work is None:
        plan.append("keep identity, record numbers and unsent readings")
    plan += _agent_lines(about, work)
    plan.append("keep the board's identity" if job.identity is None else f"make it {job.identity['device_id']}")
    plan.append("restart it" + (" and wait for the first reading at the hub" if job.wait else ""))
    return Look(device, about, release, firmware, work, plan)


def _agent_lines(about: About | None, work: esp32.Work | None) -> list[str]:
    """Return in words where the agent goes."""
    if work.romfs_bytes if work is not None else about is not None and about.has_romfs:
        return [
            "write the agent's modules into ROMFS with mpremote, unless they are there; the board runs them in flash",
            "install what starts them and remove copies from the file system",
        ]
    lines = ["install the agent as .mpy with mpremote; files that are there already are not sent again"]
    if work is None and about is not None and about.can_romfs:
        lines.append("its firmware could run it in flash, which takes 60 KB less heap: --firmware FILE makes a place")
    return lines


def flash(job: Job, found: Look, progress: Progress) -> str:
    """Do what was planned. Return what arrived at the hub, in words; UserError says what failed and what to do."""
    port, patience = found.device.port, found.device.patience
    if found.firmware is not None and found.work is not None:
        assert port is not None
        esp32.do(Esptool(port), found.work, progress)
    elif found.firmware is not None:
        port = _flash_pico(job, found, found.firmware, progress)
    assert port is not None
    about = prompt.ask(port, _PROMPT_ATTEMPTS, patience)
    if about is None:
        raise UserError(
            f"MicroPython is on the board, but does not answer on {port}: press its reset button, run the same command"
        )
    if job.wipe and found.work is None:
        progress("erasing what the board has stored")
        mpremote.run(port, ["exec", board_scripts.make_empty, "reset"], patience=patience)
        about = prompt.ask(port, _PROMPT_ATTEMPTS, patience) or about
    name = _name(job, about)
    config = job.config(name, about)
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
        tree = job.tree or agent.build(Path(work) / "tree", progress, user_commands=job.user_commands)
        arrived = job.arrived(config) if job.arrived is not None else None
        install(port, tree, config, job.identity, progress, patience)
    if not job.wait:
        return f"{name} is flashed"
    return f"{name}: " + first_reading.wait(port, arrived, progress, first_reading.TIMEOUT_S * patience)


def _flash_pico(job: Job, found: Look, firmware: Path, progress: Progress) -> str:
    """Return the serial port on which the board comes back."""
    before = {one.port for one in devices.plugged_in(job.emulated)}
    drive = found.device.drive
    if drive is None:
        assert found.device.port is not None
        progress("restarting the board into its boot loader")
        mpremote.run(found.device.port, ["bootloader"])
        drive = _appears(lambda: _drives(job, found.release.chip), _DRIVE_APPEARS_S)
        if drive is None:
            raise UserError(
                "the board restarted, but no BOOTSEL drive appeared: mount it (a desktop does that by itself), "
                "and give its folder with --drive"
            )
        before.discard(found.device.port)
    progress(f"copying {firmware.name} to {drive}")
    # The folder of an emulated board says where its port is; it is beside the drive.
    emulated = (*job.emulated, drive.parent)
    bootsel.copy(firmware, drive, progress)
    progress("waiting for the board to start")
    port = job.port if job.drive is not None else None
    port = port or _appears(lambda: _new_ports(emulated, before), _PORT_APPEARS_S)
    if port is None:
        raise UserError(
            f"the drive took {firmware.name}, but no port appeared within {_PORT_APPEARS_S:g} s: hold BOOTSEL while "
            "you plug the board in again, and run the same command"
        )
    return port


def _drives(job: Job, chip: str) -> Path | None:
    found = [one.drive for one in devices.plugged_in(job.emulated) if one.chip == chip]
    return found[0] if len(found) == 1 else None


def _new_ports(emulated: Iterable[Path], before: set[str | None]) -> str | None:
    found = [one.port for one in devices.plugged_in(emulated) if one.family == "rp2" and one.port not in before]
    return found[0] if found else None


def _appears(look_for: Callable[[], _Found | None], timeout_s: float) -> _Found | None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found = look_for()
        if found is not None:
            return found
        time.sleep(_LOOK_S)
    return None


def _described(about: About) -> str:
    version = ".".join(map(str, about.version))
    return f"MicroPython {version}" + (f" and is {about.device}" if about.device else "")


def _is_ready(board: Board, about: About) -> bool:
    """Whether the agent can be put on what runs there."""
    if about.version[:2] < board_scripts.OLDEST_VERSION:
        return False
    if board.port != "esp32":
        return True
    row = board.partition(board.ring["label"])
    return about.partitions.get(row.label) == (row.offset, row.size)


def _check_name(job: Job, about: About | None) -> None:
    """Refuse to give a board another name while it may hold readings under its old one."""
    if about is None or about.device is None or not about.has_identity or job.identity is None or job.wipe:
        return
    if about.device != job.identity["device_id"]:
        raise UserError(
            f"this board is {about.device}, and may hold readings that are not delivered yet: "
            f"--wipe makes it {job.identity['device_id']} and forgets them"
        )


def _name(job: Job, about: About) -> str:
    """Return what the device will be called. UserError if it has no name yet, or another one."""
    _check_name(job, about)
    if job.identity is not None:
        return str(job.identity["device_id"])
    if about.device is None or not about.has_identity:
        raise UserError("this board has no identity yet: give one with --identity FILE, or --device NAME")
    return about.device
