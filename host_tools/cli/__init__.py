"""The `fieldpost` command: one module for each verb, each of which only parses, calls and prints."""

import sys

import typer

from host_tools.cli import (
    audit,
    bench,
    boards,
    doctor,
    emulate,
    flash,
    hub,
    init,
    method,
    mip,
    outage,
    power,
    provision,
    queue,
    send,
    sensor,
    service,
    simulate,
    status,
    top,
    twin,
    version,
)
from host_tools.errors import UserError

app = typer.Typer(
    name="fieldpost",
    help="Field sensors to the cloud without losing a reading.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.callback()(version.options)
for verb in (
    flash,
    init,
    provision,
    emulate,
    mip,
    send,
    method,
    twin,
    outage,
    power,
    sensor,
    audit,
    status,
    boards,
    doctor,
    simulate,
    top,
):
    app.command(verb.__name__.rpartition(".")[2])(verb.run)
app.add_typer(hub.app, name="hub")
app.add_typer(bench.app, name="bench")
app.add_typer(queue.app, name="queue")
app.add_typer(service.app, name="service")


def main() -> None:
    """Run the command line. What the user can act on becomes one sentence on stderr and exit 2."""
    try:
        app()
    except UserError as error:
        print(f"fieldpost: {error}", file=sys.stderr)
        sys.exit(2)
