"""umqtt.simple, the MQTT client that the device's link is built on; and umqtt.robust, which it is measured beside.

The package index has them as source archives without build files, which pip can neither install nor download.
ESP32 firmware has its own, newer copy of the first frozen in; the link works with 1.3.4 to 1.8.
"""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.toolchain import Report, cache


@dataclass(frozen=True)
class Source:
    """One module out of an archive. sha256: of the archive, hexadecimal. module: its path, as it is imported."""

    name: str
    version: str
    sha256: str
    module: str


SIMPLE = Source(
    "micropython-umqtt.simple",
    "1.3.4",
    "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f",
    "umqtt/simple.py",
)
ROBUST = Source(
    "micropython-umqtt.robust",
    "1.0",
    "22a1b8c8e1128281efb13b3020927d07e33c5b747869da2cd77d37983a9ea002",
    "umqtt/robust.py",
)


def find_or_download(report: Report = print, source: Source = SIMPLE) -> Path:
    """Return a folder for the import path that holds the module. UserError if it cannot be had."""
    entry = f"{source.name.removeprefix('micropython-').replace('.', '-')}-{source.version}"
    folder = cache.folder() / entry
    if (folder / source.module).exists():
        return folder
    # pip takes a third of a second to import, and only a first run needs it.
    from host_tools.toolchain import package_index

    with cache.locked(entry) as folder:
        if not (folder / source.module).exists():
            report(f"downloading {source.name} {source.version}")
            text = _module_of(package_index.download(source.name, source.version, source.sha256), source)
            with cache.replaced(folder) as work:
                (work / source.module).parent.mkdir()
                (work / source.module).write_bytes(text)
    return folder


def _module_of(archive: bytes, source: Source) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        module = files.extractfile(f"{source.name}-{source.version}/{source.module}")
        if module is None:
            raise UserError(f"{source.name} {source.version} holds no {source.module}")
        return module.read()
