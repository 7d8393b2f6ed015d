"""`fieldpost mip`: writes package.json anew, after the agent's files have changed."""

from pathlib import Path
from typing import Annotated

import typer

from host_tools.errors import UserError
from host_tools.toolchain import mip


def run(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("package.json"),
) -> None:
    """Write the package.json with which mip installs the agent."""
    try:
        mip.write(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    print(target)
