"""Gets the tools that the tests need and prints where they are, as shell assignments.

    MICROPYTHON=/...  UMQTT=/...  DRIVERS=/...

Progress goes to stderr. Exit 2 and one sentence if a tool cannot be had.
"""

import shlex
import sys

from host_tools.errors import UserError
from host_tools.toolchain import firmware, micropython, umqtt


def _report(line: str) -> None:
    print(f"fieldpost: {line}", file=sys.stderr)


def main() -> int:
    try:
        found = {
            "MICROPYTHON": micropython.find_or_install(_report),
            "UMQTT": umqtt.find_or_download(_report),
            "DRIVERS": firmware.drivers_folder(),
        }
    except UserError as error:
        _report(str(error))
        return 2
    for name, path in found.items():
        print(f"{name}={shlex.quote(str(path))}")
    return 0


sys.exit(main())
