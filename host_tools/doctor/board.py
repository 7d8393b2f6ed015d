"""One board on a serial port: its agent's own words if it runs, else what MicroPython's prompt tells."""

import time

import serial

from host_tools.doctor.finding import Finding
from host_tools.errors import UserError
from host_tools.flash import board_scripts, mpremote, prompt
from host_tools.flash.first_reading import Console

_CONNECTED = "ready"  # fieldpost.uplink.session: the hub has accepted the connection and the subscriptions
_LISTEN_S = 4.0
_LOOK_S = 0.1
_LAST_ERROR = """\
try:
    exec(open("/boot.py").read(), {})  # of a board with ROMFS it says whether the modules are whole there
except Exception as error:
    print("last error: %s" % error)
try:
    with open("/last_error.txt") as file:
        print("last error: " + file.read().strip().split("\\n")[-1])
except OSError:
    pass
"""


def look(port: str) -> list[Finding]:
    """Listen first, which disturbs nothing; only a board that says nothing of itself is stopped and asked."""
    try:
        mpremote.check_port(port)
        console = Console(port)
    except (UserError, OSError, serial.SerialException) as error:
        return [Finding("port", False, str(error))]
    try:
        deadline_s = time.monotonic() + _LISTEN_S
        while not console.status and time.monotonic() < deadline_s:
            console.look()
            time.sleep(_LOOK_S)
    finally:
        console.close()
    if console.status:
        return _of_status(console.status)
    return _of_prompt(port)


def _of_status(status: dict[str, object]) -> list[Finding]:
    boot, state = status.get("boot"), status.get("state")
    found = [Finding("agent", True, f"it runs, boot {boot}, since {_seconds(status.get('uptime_ms'))} s")]
    error = status.get("error")
    if state == _CONNECTED:
        found.append(
            Finding("link", True, f"it is connected; {status.get('acked')} records acknowledged since the start")
        )
    else:
        reason = f", because of: {error}" if error else ""
        found.append(Finding("link", False, f"it is {state}{reason}; {status.get('pending')} records wait in its ring"))
    if not status.get("reading"):
        found.append(
            Finding("sensor", False, "it has no reading: check the sensor's wires (3V3, GND, SCL, SDA) and address")
        )
    lost = status.get("lost")
    if isinstance(lost, int) and lost:
        found.append(
            Finding("ring", False, f"{lost} records were lost because the ring was full: the link was away too long")
        )
    return found


def _of_prompt(port: str) -> list[Finding]:
    try:
        about = prompt.ask(port)
    except UserError as error:
        return [Finding("port", False, str(error))]
    if about is None:
        says = "it says nothing, and MicroPython does not answer: flash it (`./flash.sh BOARD --firmware FILE`)"
        return [Finding("board", False, says)]
    version = ".".join(map(str, about.version))
    is_new_enough = about.version[:2] >= board_scripts.OLDEST_VERSION
    found = [
        Finding("MicroPython", is_new_enough, f"version {version}" + ("" if is_new_enough else ": flash a newer one"))
    ]
    if about.device is None or not about.has_identity:
        return [*found, Finding("identity", False, "it has none: flash it with --device NAME")]
    found.append(Finding("identity", True, f"it is {about.device}, a {about.board}"))
    if about.code is None:
        says = "its modules are not on it, or not whole: run `fieldpost flash` again, it goes on where it stopped"
        return [*found, Finding("agent", False, says)]
    if about.has_romfs:
        is_there = about.code != "/"
        says = "the agent's modules lie there" if is_there else "copies in files are in the way: flash it again"
        found.append(Finding("ROMFS", is_there, says))
    said = mpremote.run(port, ["exec", _LAST_ERROR, "reset"])
    last = next((line for line in said if line.startswith("last error: ")), None)
    says = "the agent did not run; it was restarted" + (f". Its {last}" if last else "")
    return [*found, Finding("agent", False, says)]


def _seconds(milliseconds: object) -> str:
    return f"{milliseconds // 1000}" if isinstance(milliseconds, int) else "unknown"
