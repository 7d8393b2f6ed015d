"""`fieldpost audit BOARD`: prove that nothing is missing, or say what is. Exit 1 if something is."""

import json

import typer

from host_tools.audit import as_json as finding_as_json
from host_tools.audit import proof
from host_tools.cli.arguments import AsJson, BoardName
from host_tools.lab.at_rest import audit_at_rest
from host_tools.lab.client import ask, is_running
from host_tools.lab.folder import LabFolder


def run(board: BoardName, as_json: AsJson = False) -> None:
    """Prove that no reading is missing.

    Told from the hub's store and the board's flash alone. Exit 1 if something is missing.
    """
    folder = LabFolder(board)
    if is_running(folder):
        answer = ask(folder, "audit", {})
        finding, text = answer["finding"], answer["proof"]
    else:
        found = audit_at_rest(folder)
        finding, text = finding_as_json(found), proof(found)
    print(json.dumps(finding) if as_json else text)
    if not finding["whole"]:
        raise typer.Exit(1)
