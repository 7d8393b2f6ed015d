"""The `fieldpost` command: one module for each verb, each of which only parses, calls and prints."""

import errno
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

from host_tools.cli import version
from host_tools.errors import UserError

# In the order in which `fieldpost --help` shows them.
_COMMANDS = (
    "flash",
    "init",
    "provision",
    "pin",
    "emulate",
    "mip",
    "send",
    "method",
    "twin",
    "outage",
    "power",
    "sensor",
    "audit",
    "status",
    "boards",
    "doctor",
    "simulate",
    "top",
)
_GROUPS = ("hub", "bench", "queue", "service")
# Of these no program is to blame, wherever they come from.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)
VERBS = (*_COMMANDS, *_GROUPS)


def _app(verbs: Iterable[str]) -> typer.Typer:
    """Return the command with these verbs: the modules of all of them take a second to load."""
    app = typer.Typer(
        name="fieldpost",
        help="Field sensors to the cloud without losing a reading.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(version.options)
    for verb in verbs:
        module = import_module(f"host_tools.cli.{verb}")
        if verb in _GROUPS:
            app.add_typer(module.app, name=verb)
        else:
            app.command(verb)(module.run)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app(VERBS)
    raise AttributeError(name)


def main() -> None:
    """Run the command line. What the user can act on becomes one sentence on stderr and exit 2."""
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()  # who reads has gone, as `| head` does
        sys.exit(1)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        print(f"fieldpost: {where}{error.strerror}", file=sys.stderr)
        sys.exit(2)


def _drop_output() -> None:
    """Let nothing be written any more to where nothing can be (Python, "signal", "Note on SIGPIPE")."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> None:
    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    try:
        _app((asked,) if asked in VERBS else VERBS)()
    except UserError as error:
        print(f"fieldpost: {error}", file=sys.stderr)
        sys.exit(2)
