"""Imports point inward: the core knows no machine, the hub knows no firmware, and nothing lies about unused.

Goal: the shape of the house is kept by a test, not by memory. Method: read every import statement with `ast`;
nothing is run. Rooms are the folders and files directly in firmware/fieldpost and host_tools.
"""

import ast
from pathlib import Path

from host_tools.cli import VERBS

ROOT = Path(__file__).parents[2]

_GROUND = {"limits", "errors", "compat", "shapes", "hmac_sha256", "proof", "modules"}
_CORE = _GROUND | {
    "ring",
    "records",
    "hubs",
    "uplink",
    "commands",
    "config",
    "clock",
    "health",
    "thresholds",
    "status_led",
}

# Room of the firmware: the rooms it may import, besides itself.
FIRMWARE = {
    **dict.fromkeys(_GROUND, _GROUND),
    "ring": _GROUND,
    # A start asks a ring, whose records it cannot know yet, about the boots before it.
    "records": _GROUND | {"ring.recovery"},
    "hubs": _GROUND | {"records"},
    "uplink": _GROUND | {"ring", "records"},
    "commands": _GROUND | {"ring", "records"},
    "config": _GROUND,
    "clock": _GROUND,
    "health": _GROUND,
    "thresholds": _GROUND | {"records"},
    "status_led": _GROUND,
    "agent": _CORE,
    "links": _GROUND,
    "sensors": _GROUND,
    # A port gives the flash; what a flash region is, the ring says. It asks for names as the link does.
    "ports": _GROUND | {"ring.region", "links.dns"},
    # The places that know both sides.
    "assembly": _CORE | {"building", "late_assembly", "links", "sensors", "ports"},
    "building": _CORE | {"agent", "links", "roots"},
    "late_assembly": _CORE,
    "roots": _GROUND | {"commands"},
    # From a board's configuration to a device that runs.
    "start": _CORE | {"agent", "assembly", "links"},
    # The service around it, on Linux.
    "daemon": _CORE | {"assembly", "ports", "sensors", "links"},
}

_ANY_HOST = {
    "queue", "service", "toolchain", "boards", "config", "flash", "provision", "doctor", "hub", "emulator", "audit",
    "simulate", "errors", "remote", "dashboard",
}  # fmt: skip
HOST = {
    "errors": set(),
    "shipped": set(),
    "private_file": set(),
    "toolchain": {"errors", "shipped"},
    "boards": {"errors", "shipped"},
    "config": {"errors"},
    "flash": {"audit", "errors", "toolchain", "boards", "hub", "provision"},
    "provision": {"errors", "hub", "private_file"},
    "doctor": {"errors", "config", "flash", "hub"},
    "hub": {"errors", "private_file"},
    # The hub's page for people. It knows the hub, which knows nothing of it.
    "dashboard": {"audit", "errors", "hub"},
    "emulator": {"errors", "toolchain"},
    "audit": {"errors"},
    "simulate": {"audit", "emulator", "errors"},  # its judges read bodies as the audit does, from the outside
    "queue": {"errors"},
    "remote": {"errors", "config", "provision", "hub", "lab", "audit"},
    # Its front, which the package installs, is a command line of its own.
    "service": {"errors", "boards", "queue", "toolchain", "lab.quantities"},
    "lab": _ANY_HOST,
    "bench": {"errors", "toolchain", "emulator", "hub", "boards", "flash", "audit", "lab"},
    "cli": _ANY_HOST | {"lab", "bench"},
}
# Rooms of the host that may read the device's own formats and rules.
KNOWS_FIRMWARE = {"boards", "simulate", "config", "flash", "provision", "audit", "lab", "queue", "service", "bench"}

# What only links, sensors and ports may touch.
_OUTSIDE = {
    "asyncio", "esp32", "machine", "network", "ntptime", "rp2", "select", "socket", "ssl", "threading", "time", "tls",
    "umqtt", "usocket", "utime",
}  # fmt: skip

# Where running begins: modules that no other module imports.
_ENTRANCES = {
    "host_tools.cli",
    "host_tools.toolchain.__main__",
    "host_tools.hub.__main__",
    "host_tools.dashboard.__main__",
    "host_tools.bench.hub.load",
    "host_tools.emulator.pi.__main__",
    "host_tools.emulator.pi.hardware",
    "fieldpost.daemon.__main__",
    "host_tools.service.front",
}
# Imported by a name that is put together when it runs: start._port_of, and programs of other interpreters.
_BY_NAME = (
    "fieldpost.ports.",
    "fieldpost.daemon.sensors.",
    "fieldpost.commands.",  # by the first part of a command's name
    "host_tools.emulator.chip",
    "host_tools.cli.",  # by the words on the command line
    "host_tools.bench.link.programs",
    "host_tools.bench.outage.programs",
    "host_tools.cli.",
)


def _modules() -> dict[str, Path]:
    """Return every module of the project by its dotted name."""
    found = {}
    for base in (ROOT / "firmware", ROOT):
        package = "fieldpost" if base.name == "firmware" else "host_tools"
        for path in (base / package).rglob("*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _imported(path: Path) -> set[str]:
    """Return what a file imports, as dotted names; `from package import module` counts as the module."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are absolute here"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in MODULES else node.module)
    return names


def _room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def _outward(package: str, rules: dict[str, set[str]]) -> list[str]:
    """Return a sentence for every import inside `package` that its rules do not allow."""
    complaints = []
    for module, path in MODULES.items():
        room = _room(module)
        if not module.startswith(package + ".") or not room:
            continue
        assert room in rules, f"{package}/{room} is new: say in {Path(__file__).name} what it may import"
        for name in sorted(_imported(path)):
            within = name.removeprefix(package + ".")
            allowed = _room(name) in rules[room] | {room} or within in rules[room]
            if name.startswith(package + ".") and not allowed:
                complaints.append(f"{module} imports {name}: {room} may not know {_room(name)}")
    return complaints


def test_firmware_imports_point_inward() -> None:
    assert _outward("fieldpost", FIRMWARE) == []


def test_host_imports_point_inward() -> None:
    assert _outward("host_tools", HOST) == []


def test_the_core_knows_no_machine() -> None:
    complaints = [
        f"{module} imports {name}: ask for it to be handed in"
        for module, path in MODULES.items()
        if module.startswith("fieldpost.") and _room(module) in _CORE - {"compat"} | {"agent"}
        for name in sorted(_imported(path))
        if name.split(".")[0] in _OUTSIDE
    ]
    assert complaints == []


def test_firmware_knows_nothing_of_the_host_and_the_hub_nothing_of_firmware() -> None:
    complaints = []
    for module, path in MODULES.items():
        for name in sorted(_imported(path)):
            package = name.split(".")[0]
            if module.startswith("fieldpost") and package == "host_tools":
                complaints.append(f"{module} imports {name}: boards have no host")
            if package == "fieldpost" and module.startswith("host_tools.") and _room(module) not in KNOWS_FIRMWARE:
                complaints.append(f"{module} imports {name}: {_room(module)} does without")
    assert complaints == []


def test_every_module_is_reached_from_an_entrance() -> None:
    waiting = [*_ENTRANCES, *(name for name in MODULES if name.startswith(_BY_NAME))]
    waiting += [f"host_tools.cli.{verb}" for verb in VERBS]  # each is imported when it is asked for
    for start in ("main.py", "boot.py"):
        waiting += _imported(ROOT / "firmware" / start)
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in reached or module not in MODULES:
            continue
        reached.add(module)
        waiting += _imported(MODULES[module])
        waiting.append(module.rpartition(".")[0])
    assert sorted(set(MODULES) - reached) == []
