"""`fieldpost bench`: how fieldpost compares, measured here and now."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from host_tools.bench import RecordsDiffer, Report
from host_tools.cli.arguments import AsJson
from host_tools.errors import UserError
from host_tools.lab.folder import state_folder
from host_tools.toolchain import micropython

app = typer.Typer(help="Measure fieldpost beside what others use for the same job.", no_args_is_help=True)


@app.command()
def ring(
    as_json: AsJson = False,
    svg: Annotated[Path | None, typer.Option("--svg", help="Also draw the figures into this file.")] = None,
    disk: Annotated[
        Path | None, typer.Option("--disk", help="A folder on the disk to measure, if not that of fieldpost's state.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds, and figures that vary more.")] = False,
) -> None:
    """Measure the ring beside littlefs, SQLite and persist-queue.

    Wear and time on a model of a flash part, records per second on this machine's disk, what opening reads, RAM on
    MicroPython. Takes about a minute.
    """
    try:
        # Only here: the contestants are needed by nobody else, and not installed with the project.
        from host_tools.bench import ring as bench
        from host_tools.bench import ring_picture, ring_text
    except ModuleNotFoundError as error:
        missing = {"littlefs": "littlefs-python", "persistqueue": "persist-queue"}.get(error.name or "")
        if missing is None:
            raise
        raise UserError(f"this compares with {missing}, which is not installed: pip install {missing}") from None
    if svg is not None and not (svg.parent.is_dir() and os.access(svg.parent, os.W_OK)):
        raise UserError(f"{svg.parent} is no folder that can be written: choose another place for --svg")
    if disk is None:
        disk = state_folder()
        disk.mkdir(mode=0o700, parents=True, exist_ok=True)
    effort = bench.QUICK if quick else bench.Effort()
    interpreter = micropython.find_or_install(lambda line: print(line, file=sys.stderr))
    with _progress() as report:
        try:
            figures = bench.measure(disk, interpreter, effort, report)
        except RecordsDiffer as error:
            raise UserError(f"no figures, since the records came back wrong: {error}") from error
    if svg is not None:
        svg.write_text(ring_picture.draw(figures), encoding="utf-8")
    if as_json:
        print(json.dumps(bench.as_json(figures)))
    else:
        print("\n".join(ring_text.lines(figures)))


@app.command()
def hub(
    as_json: AsJson = False,
    disk: Annotated[
        Path | None, typer.Option("--disk", help="A folder on the disk to measure, if not that of fieldpost's state.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds, and figures that vary more.")] = False,
) -> None:
    """Measure the local hub beside Mosquitto, in one run.

    The same clients, TLS for both. The hub checks tokens and has every message on disk before it acknowledges it;
    Mosquitto does neither. Takes about two minutes.
    """
    from host_tools.bench.hub import hub_text, measure

    if disk is None:
        disk = state_folder()
        disk.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(disk, os.W_OK):
        raise UserError(f"{disk} is no folder that can be written: choose another place for --disk")
    with _progress() as report:
        figures = measure.measure(disk, measure.QUICK if quick else measure.Effort(), report)
    if as_json:
        print(json.dumps(measure.as_json(figures)))
    else:
        print("\n".join(hub_text.lines(figures)))


@app.command()
def link(
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write benchmarks/link.md in this folder, such as docs.")
    ] = None,
    disk: Annotated[
        Path | None, typer.Option("--disk", help="A folder on the disk to use, if not that of fieldpost's state.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, and figures that vary more.")] = False,
) -> None:
    """Measure how fast a backlog reaches the hub, beside others.

    The same readings over verified TLS through the same relay with round trips of 0, 50 and 200 ms: MicroPython beside
    umqtt.simple 1.3.4, CPython beside Microsoft's SDK; heap, bytes on the wire, and how long a restarted hub waits for
    the device. Takes about five minutes.
    """
    from host_tools.bench.link import link_text, measure

    if out is not None and not os.access(out, os.W_OK):
        raise UserError(f"{out} is no folder that can be written: choose another place for --out")
    if disk is None:
        disk = state_folder()
        disk.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(disk, os.W_OK):
        raise UserError(f"{disk} is no folder that can be written: choose another place for --disk")
    interpreter = micropython.find_or_install(lambda line: print(line, file=sys.stderr))
    with _progress() as report:
        try:
            figures = measure.measure(disk, interpreter, measure.QUICK if quick else measure.Effort(), report)
        except RecordsDiffer as error:
            raise UserError(f"the figures mean nothing: {error}") from error
    if out is not None:
        page = out / "benchmarks" / "link.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(link_text.page(figures), encoding="utf-8")
    print(json.dumps(measure.as_json(figures)) if as_json else "\n".join(link_text.lines(figures)))


@app.command()
def pi(
    as_json: AsJson = False,
    disk: Annotated[
        Path | None, typer.Option("--disk", help="A folder on the disk to use, if not that of fieldpost's state.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, and figures that vary more.")] = False,
) -> None:
    """Measure the Raspberry Pi service beside a script.

    The script is on azure-iot-device and persist-queue. Both read the same emulated BME280 once a second through Blinka
    and deliver to the same hub: memory, processor time, start-up. Takes about three minutes.
    """
    from host_tools.bench.pi import measure

    if disk is None:
        disk = state_folder()
        disk.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(disk, os.W_OK):
        raise UserError(f"{disk} is no folder that can be written: choose another place for --disk")
    with _progress() as report:
        try:
            figures = measure.measure(disk, measure.QUICK if quick else measure.Effort(), report)
        except RecordsDiffer as error:
            raise UserError(f"the figures mean nothing: {error}") from error
    print(json.dumps(measure.as_json(figures)) if as_json else "\n".join(measure.lines(figures)))


@app.command()
def outage(
    as_json: AsJson = False,
    mqtt_as: Annotated[
        Path | None,
        typer.Option("--mqtt-as", help="mqtt_as/__init__.py of a clone of peterhinch/micropython-mqtt, to run it too."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Also write benchmarks/outage.md and .svg in this folder, such as docs."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One minute, and shorter faults.")] = False,
) -> None:
    """Count what arrives through outages and power cuts, beside others.

    Emulated boards side by side, all with the same link, plug and broker: fieldpost, umqtt.robust, umqtt.robust with a
    file, and mqtt_as. Takes about three minutes.
    """
    from host_tools.bench.outage import measure, outage_picture, outage_text
    from host_tools.bench.outage.schedule import QUICK, WHOLE

    if mqtt_as is not None and not mqtt_as.is_file():
        raise UserError(f"{mqtt_as} is no file: give the path of mqtt_as/__init__.py")
    if out is not None and not os.access(out, os.W_OK):
        raise UserError(f"{out} is no folder that can be written: choose another place for --out")
    interpreter = micropython.find_or_install(lambda line: print(line, file=sys.stderr))
    folder = state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _progress() as report:
        try:
            figures = measure.measure(folder, interpreter, QUICK if quick else WHOLE, mqtt_as, report)
        except RecordsDiffer as error:
            raise UserError(f"the figures mean nothing: {error}") from error
    if out is not None:
        page = out / "benchmarks" / "outage.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(outage_text.page(figures), encoding="utf-8")
        page.with_suffix(".svg").write_text(outage_picture.draw(figures), encoding="utf-8")
    print(json.dumps(measure.as_json(figures)) if as_json else "\n".join(outage_text.lines(figures)))


@contextmanager
def _progress() -> Iterator[Report]:
    """Show on stderr what is being measured, if a person is there to see it."""
    columns = (BarColumn(20), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=1.0)

        def report(what: str, done: float) -> None:
            progress.update(task, description=what, completed=min(max(done, 0.0), 1.0))

        yield report
