"""`fieldpost hub`: a local IoT Hub, and what people ask of it."""

import asyncio
import contextlib
import csv
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from host_tools.cli.arguments import pairs
from host_tools.errors import UserError
from host_tools.hub import StoredMessage, read_messages
from host_tools.hub.client import HubClient, Refused
from host_tools.hub.devices.registry import connection_string
from host_tools.hub.one_line import one_line
from host_tools.hub.service.message_text import CSV_COLUMNS, as_json, as_row
from host_tools.lab.folder import state_folder
from host_tools.lab.quantities import duration_s

app = typer.Typer(help="A local IoT Hub that Microsoft's SDKs take for the real one.", no_args_is_help=True)
device = typer.Typer(help="Devices of the hub.", no_args_is_help=True)
app.add_typer(device, name="device")

_FOLLOW_S = 0.2

Data = Annotated[Path | None, typer.Option("--data", help="The hub's folder; kept between runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DeviceId = Annotated[str, typer.Argument(metavar="DEVICE")]


def _folder(data: Path | None) -> Path:
    return data if data is not None else state_folder() / "hub"


@app.command()
def run(
    data: Data = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    mqtt_port: Annotated[int, typer.Option(min=0, max=65535, help="MQTT over TLS; SDKs insist on 8883.")] = 8883,
    https_port: Annotated[
        int, typer.Option(min=0, max=65535, help="HTTPS and WebSockets; SDKs insist on 443 for the latter.")
    ] = 8443,
    amqp_port: Annotated[int, typer.Option(min=0, max=65535, help="AMQP over TLS; SDKs insist on 5671.")] = 5671,
    name: Annotated[str | None, typer.Option(help="What clients call this hub, if not its address.")] = None,
    devices: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="ID", help="Make this device and print its connection string; repeatable."),
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Turn on the limits of F1, S1, S2 or S3.")] = None,
    sas_grace: Annotated[
        str | None, typer.Option(help="How long an expired token is good; the real hub: some minutes.")
    ] = None,
    command_ttl: Annotated[str | None, typer.Option(help="Life of a command that names none; 1h without.")] = None,
    max_deliveries: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Give a command up that came back unacknowledged so often; never without."),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Wait so many times longer for devices; 100 for --engine rp2040.")
    ] = 1.0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every connection.")] = False,
) -> None:
    """Run the hub until Ctrl-C. Prints one line on stdout when it is ready."""
    hostname = name or ("localhost" if host in ("127.0.0.1", "::1", "0.0.0.0", "::") else host)
    behaviour: dict[str, Any] = {"patience": patience}
    if sas_grace is not None:
        behaviour["sas_grace_s"] = duration_s(sas_grace)
    if command_ttl is not None:
        behaviour["c2d_ttl_s"] = duration_s(command_ttl)
    if max_deliveries is not None:
        behaviour |= {"c2d_max_delivery_count": max_deliveries, "c2d_counts_every_return": True}
    given = {
        "directory": str(_folder(data)),
        "host": host,
        "port": mqtt_port,
        "other_ports": [https_port, amqp_port],
        "hostname": hostname,
        "tier": tier,
        "devices": devices or [],
        "behaviour": behaviour,
        "verbose": verbose,
    }
    # In the place of this process, which holds 20 MB of modules for reading command lines.
    # -P: what lies in the folder where it is started is none of its modules.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "host_tools.dashboard", json.dumps(given)])


@app.command()
def page(data: Data = None, as_json_: Json = False) -> None:
    """Print the address of the hub's page.

    The token that opens it stands in it: for your browser, for nobody else.
    """
    address = HubClient(_folder(data)).page_address()
    print(json.dumps({"url": address}) if as_json_ else address)


@app.command()
def service(data: Data = None, as_json_: Json = False) -> None:
    """Show what back ends connect with.

    azure-iot-hub takes the first string, azure-eventhub the second; then comes the root certificate's file.
    """
    about = HubClient(_folder(data)).ask("GET", "hub")
    found = {name: about[name] for name in ("service_connection_string", "events_connection_string", "ca_file")}
    if as_json_:
        print(json.dumps(found))
    else:
        print("\n".join(found.values()))


@device.command("create")
def device_create(
    device_id: DeviceId,
    data: Data = None,
    thumbprint: Annotated[str | None, typer.Option(help="Thumbprint of a self-signed certificate.")] = None,
    authority: Annotated[bool, typer.Option("--authority", help="Known by a certificate of an authority.")] = False,
    as_json_: Json = False,
) -> None:
    """Make a device, or show the one of that name. The hub may run or not."""
    document: dict[str, Any] = {}
    if thumbprint is not None:
        document["authentication"] = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}
    elif authority:
        document["authentication"] = {"type": "certificateAuthority"}
    folder = _folder(data)
    client = HubClient(folder)
    if client.is_running():
        about = client.ask("GET", "hub")
        made = client.ask("PUT", "devices", device_id, body=document)
        hostname, ca_file = about["hostname"], about["ca_file"]
    else:
        hostname, ca_file, made = asyncio.run(_create_at_rest(folder, device_id, document))
    key = made["authentication"]["symmetricKey"]["primaryKey"]
    text = connection_string(hostname, made["deviceId"], key or "")
    if as_json_:
        print(json.dumps({"device_id": device_id, "connection_string": text, "ca_file": ca_file}))
    else:
        print(f"{text}\nroot certificate: {ca_file}")


async def _create_at_rest(folder: Path, device_id: str, document: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    # Only here: most commands ask a hub that runs already.
    from host_tools.hub import Hub
    from host_tools.hub.service import documents

    hub = Hub(folder)
    await hub.start()  # on a free port, for a moment: it holds the folder, so that no other hub changes it meanwhile
    try:
        hostname = hub.settings.get("hostname", hub.hostname)
        made = documents.device(hub, hub.devices.create(device_id, **documents.attributes(document)))
        return hostname, str(hub.ca_file.resolve()), made
    finally:
        await hub.stop()


@device.command("delete")
def device_delete(device_id: DeviceId, data: Data = None) -> None:
    """Forget a device and what waits for it. Its messages stay."""
    HubClient(_folder(data)).ask("DELETE", "devices", device_id)
    print(f"{device_id} is deleted")


@device.command("disable")
def device_disable(device_id: DeviceId, data: Data = None) -> None:
    """Refuse a device (CONNACK 5), from now until it is enabled."""
    HubClient(_folder(data)).ask("PATCH", "devices", device_id, body={"status": "disabled"})
    print(f"{device_id} is disabled")


@device.command("enable")
def device_enable(device_id: DeviceId, data: Data = None) -> None:
    """Let a disabled device in again."""
    HubClient(_folder(data)).ask("PATCH", "devices", device_id, body={"status": "enabled"})
    print(f"{device_id} is enabled")


@device.command("disconnect")
def device_disconnect(device_id: DeviceId, data: Data = None) -> None:
    """End its connection, to see how it comes back."""
    HubClient(_folder(data)).ask("POST", "devices", device_id, "disconnect")
    print(f"{device_id} is disconnected")


@device.command("authority")
def device_authority(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the authority.")],
    pem: Annotated[Path, typer.Argument(metavar="FILE", help="Its certificate, PEM.")],
    data: Data = None,
) -> None:
    """Trust an authority with devices whose common name is their id."""
    try:
        text = pem.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {pem}: {error}") from error
    HubClient(_folder(data)).ask("PUT", "authorities", name, body={"pem": text})
    print(f"devices with certificates of {name} are welcome")


@app.command()
def enroll(
    name: Annotated[str, typer.Argument(metavar="ID", help="Registration id, or the name of a group.")],
    group: Annotated[bool, typer.Option("--group", help="A group of devices.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM of the device, or of the authority of a group; keys without it.")
    ] = None,
    device_key: Annotated[str | None, typer.Option(help="Print the key of this device of the group.")] = None,
    data: Data = None,
    as_json_: Json = False,
) -> None:
    """Let a device, or a group of them, be provisioned by DPS."""
    document: dict[str, Any] = {}
    if certificate is not None:
        try:
            document["certificate"] = certificate.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {certificate}: {error}") from error
    if device_key is not None and (not group or certificate is not None):
        raise UserError("--device-key is for a --group with keys")
    kind = "group" if group else "individual"
    made = HubClient(_folder(data)).ask("PUT", "enrollments", kind, name, body=document)
    shown = {"id_scope": made["id_scope"], "primary_key": made["primary_key"] or None}
    if device_key is not None:
        from host_tools.hub.provisioning.enrollments import derived_key

        shown |= {"registration_id": device_key, "device_key": derived_key(made["primary_key"], device_key)}
    if as_json_:
        print(json.dumps(shown))
    else:
        print("\n".join(f"{key:>16}  {value}" for key, value in shown.items() if value))


@app.command()
def devices(data: Data = None, as_json_: Json = False) -> None:
    """List the devices."""
    found = HubClient(_folder(data)).ask("GET", "devices")
    if as_json_:
        for one in found:
            del one["authentication"]["symmetricKey"]
            print(json.dumps(one))
        return
    table = Table("device", "status", "connection", "authentication", "commands", box=None, pad_edge=False)
    for one in found:
        authentication, waiting = one["authentication"]["type"], str(one["cloudToDeviceMessageCount"])
        table.add_row(one["deviceId"], one["status"], one["connectionState"].lower(), authentication, waiting)
    Console().print(table)


@app.command()
def messages(
    data: Data = None,
    device_id: Annotated[str | None, typer.Option("--device", help="Only of this device.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only behind this sequence number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more until Ctrl-C.")] = False,
    last: Annotated[int | None, typer.Option(min=0, help="Only so many, the newest.")] = None,
    as_json_: Json = False,
) -> None:
    """Show what devices have sent, oldest first. The hub may run or not."""
    with contextlib.suppress(KeyboardInterrupt):
        for message in _found(_folder(data), device_id, after, last, follow):
            print(json.dumps(as_json(message), ensure_ascii=False) if as_json_ else _line(message), flush=follow)


def _found(folder: Path, device_id: str | None, after: int, last: int | None, follow: bool) -> Iterator[StoredMessage]:
    """Yield what is stored and, if it is followed, what comes; a store may be larger than memory."""
    stored: Iterable[StoredMessage] = read_messages(folder, device_id, after)
    if last is not None:
        stored = deque(stored, maxlen=last)
    while True:
        for message in stored:
            after = message.sequence
            yield message
        if not follow:
            return
        time.sleep(_FOLLOW_S)
        stored = read_messages(folder, device_id, after)


def _line(message: StoredMessage) -> str:
    found = as_json(message)
    properties = one_line(" ".join(f"{key}={value}" for key, value in found["properties"].items()))
    body = found.get("body_json") or found.get("body", f"{len(message.body)} bytes")
    return f"{found['enqueued_at'][:23]} {message.device_id} {properties}{' ' if properties else ''}{body!r}"


@app.command()
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A file that ends in .jsonl or .csv.")],
    data: Data = None,
    device_id: Annotated[str | None, typer.Option("--device", help="Only of this device.")] = None,
) -> None:
    """Write every message to a file, as JSON Lines or CSV. The hub may run or not."""
    if target.suffix not in (".jsonl", ".csv"):
        raise UserError(f"{target}: name a file that ends in .jsonl or .csv")
    count = 0
    try:
        with target.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if target.suffix == ".csv":
                rows.writerow(CSV_COLUMNS)
            for message in read_messages(_folder(data), device_id):
                if target.suffix == ".csv":
                    rows.writerow(as_row(message))
                else:
                    file.write(json.dumps(as_json(message), ensure_ascii=False) + "\n")
                count += 1
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    print(f"{count} messages are in {target}")


@app.command()
def send(
    device_id: DeviceId,
    body: Annotated[str, typer.Argument(metavar="BODY", help="The body, a text; - reads it from stdin.")],
    properties: Annotated[list[str] | None, typer.Option("--property", help="KEY=VALUE; repeatable.")] = None,
    ttl: Annotated[str | None, typer.Option(help="How long it may wait, such as 10m.")] = None,
    ack: Annotated[str | None, typer.Option(help="Ask for feedback: positive, negative or full.")] = None,
    message_id: Annotated[str | None, typer.Option(help="Its message id.")] = None,
    data: Data = None,
    as_json_: Json = False,
) -> None:
    """Queue a cloud-to-device message."""
    found = _texts(properties or [])
    if ack is not None:
        found["iothub-ack"] = ack
    request: dict[str, Any] = {"body": sys.stdin.read() if body == "-" else body, "properties": found}
    if ttl is not None:
        request["ttl_s"] = duration_s(ttl)
    if message_id is not None:
        request["message_id"] = message_id
    answer = HubClient(_folder(data)).ask("POST", "devices", device_id, "commands", body=request)
    print(json.dumps(answer) if as_json_ else f"queued for {device_id} as {answer['message_id']}")


def _texts(given: list[str]) -> dict[str, str]:
    """Return the dict that KEY=VALUE texts mean; values stay as they are written."""
    pairs(given)  # names what is malformed or there twice
    return dict(text.split("=", 1) for text in given)


@app.command()
def method(
    device_id: DeviceId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The method.")],
    payload: Annotated[str | None, typer.Argument(metavar="JSON", help="Its payload, JSON.")] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for the answer.")] = "30s",
    connect_timeout: Annotated[str | None, typer.Option(help="How long to wait for the device.")] = None,
    data: Data = None,
    as_json_: Json = False,
) -> None:
    """Call a direct method and print the answer. Exit 1 if the device's status is 400 or more."""
    request: dict[str, Any] = {"payload": None if payload is None else _json(payload), "timeout_s": duration_s(timeout)}
    if connect_timeout is not None:
        request["connect_timeout_s"] = duration_s(connect_timeout)
    wait_s = request["timeout_s"] + request.get("connect_timeout_s", 0) + 10
    client = HubClient(_folder(data))
    try:
        answer = client.ask("POST", "devices", device_id, "methods", name, body=request, timeout_s=wait_s)
    except Refused as refused:
        if "code" not in refused.answer:
            raise
        print(json.dumps(refused.answer) if as_json_ else f"{device_id}: {refused}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(json.dumps(answer) if as_json_ else f"{answer['status']} {json.dumps(answer['payload'])}")
    if answer["status"] >= 400:
        raise typer.Exit(1)


@app.command()
def twin(
    device_id: DeviceId,
    desired: Annotated[str | None, typer.Option(help="A JSON merge patch of the desired properties.")] = None,
    tags: Annotated[str | None, typer.Option(help="A JSON merge patch of the tags.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace instead of merging.")] = False,
    data: Data = None,
    as_json_: Json = False,
) -> None:
    """Show a device's twin, or change it and show it then."""
    request: dict[str, Any] = {}
    if desired is not None:
        request["properties"] = {"desired": _json(desired)}
    if tags is not None:
        request["tags"] = _json(tags)
    verb = "GET" if not request else "PUT" if replace else "PATCH"
    found = HubClient(_folder(data)).ask(verb, "devices", device_id, "twin", body=request or None)
    print(json.dumps(found, indent=None if as_json_ else 2, ensure_ascii=False))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{text[:100]!r} is no JSON: {error}") from error
