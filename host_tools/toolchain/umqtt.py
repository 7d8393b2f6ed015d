"""umqtt.simple, the MQTT client that the device's link is built on.

The package index has it as a source archive without build files, which pip can neither install nor download.
ESP32 firmware has its own, newer copy frozen in; the link works with 1.3.4 to 1.8.
"""

import io
import tarfile
from pathlib import Path

from host_tools.errors import UserError
from host_tools.toolchain import Report, cache

_NAME = "micropython-umqtt.simple"
_VERSION = "1.3.4"
_SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
_MODULE = "umqtt/simple.py"


def find_or_download(report: Report = print) -> Path:
    """Return a folder for the import path that holds umqtt/simple.py. UserError if it cannot be had."""
    entry = f"umqtt-simple-{_VERSION}"
    folder = cache.folder() / entry
    if (folder / _MODULE).exists():
        return folder
    # pip takes a third of a second to import, and only a first run needs it.
    from host_tools.toolchain import package_index

    with cache.locked(entry) as folder:
        if not (folder / _MODULE).exists():
            report(f"downloading {_NAME} {_VERSION}")
            module = _module_of(package_index.download(_NAME, _VERSION, _SHA256))
            with cache.replaced(folder) as work:
                (work / _MODULE).parent.mkdir()
                (work / _MODULE).write_bytes(module)
    return folder


def _module_of(archive: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        module = files.extractfile(f"{_NAME}-{_VERSION}/{_MODULE}")
        if module is None:
            raise UserError(f"{_NAME} {_VERSION} holds no {_MODULE}")
        return module.read()
