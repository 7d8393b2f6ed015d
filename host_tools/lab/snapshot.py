"""The state of a lab at one moment as plain data: what the screen, `fieldpost status` and scripts show."""

from typing import Any

from host_tools.lab.lab import Lab


def snapshot(lab: Lab) -> dict[str, Any]:
    """Return it. What the agent says of itself stands under `agent` and is empty while the board is off."""
    board, hub, watch = lab.board, lab.hub, lab.watch
    agent = dict(board.status or {}) if board.powered else {}
    return {
        "board": lab.folder.name,
        "powered": board.powered,
        "link_up": board.link.is_up,
        "connected": hub.is_connected(lab.device_id),
        "boots": board.boots,
        "agent": agent,
        "pins": {name: pin.level for name, pin in lab.pins.items()},
        "room": {
            "temperature": board.bme280.temperature_c,
            "pressure": board.bme280.pressure_hpa,
            "humidity": board.bme280.humidity_percent,
        },
        "hub": {
            "port": hub.port,
            "messages": watch.messages,
            "records": watch.records,
            "lost": watch.lost,
            "reading": watch.reading,
            "temperatures": list(watch.temperatures),
            "commands_waiting": hub.pending(lab.device_id),
            "events": list(watch.events),
        },
    }


def state(view: dict[str, Any]) -> str:
    """Return the board's state in one word or two."""
    if not view["powered"]:
        return "off"
    if not view["agent"]:
        return "booting"
    if not view["link_up"]:
        return "link is down"
    return str(view["agent"].get("state", "running"))


def line(view: dict[str, Any]) -> str:
    """Return the snapshot as one line of text, for a log."""
    agent, hub = view["agent"], view["hub"]
    pins = " ".join(f"{name}={level}" for name, level in view["pins"].items())
    reading = hub["reading"]
    last = "none yet" if reading is None else f"{reading['temperature']:.2f} C (number {reading['n']})"
    return (
        f"{state(view)}: {agent.get('pending', '?')} in the ring, {hub['records']} records at the hub, "
        f"{hub['lost']} lost, last reading {last}, {pins}"
    )
