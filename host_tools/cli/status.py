"""`fieldpost status BOARD`: how a running board is."""

import json

from host_tools.cli.arguments import AsJson, BoardName
from host_tools.lab.client import ask
from host_tools.lab.folder import LabFolder
from host_tools.lab.snapshot import line


def run(board: BoardName, as_json: AsJson = False) -> None:
    """Print the state of a running board."""
    view = ask(LabFolder(board), "status", {})
    print(json.dumps(view) if as_json else f"{board}: {line(view)}")
