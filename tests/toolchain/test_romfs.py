"""A ROM file system that MicroPython mounts."""

import asyncio
from pathlib import Path

from host_tools.bench import IN_ROM
from host_tools.toolchain import romfs

PROGRAM = """
import sys
from deep.inner import words
print(words, open("/rom/note.txt").read(), sys.argv)
"""


async def test_what_lies_in_it_runs(tmp_path: Path, micropython: Path) -> None:
    """Goal: the benchmark's modules lie in ROM. Method: a program with a package and a file beside it."""
    folder = tmp_path / "rom"
    (folder / "programs").mkdir(parents=True)
    (folder / "deep").mkdir()
    (folder / "deep" / "inner.py").write_text("words = 'from inside'\n")
    (folder / "note.txt").write_text("and a file")
    (folder / "programs" / "hello.py").write_text(PROGRAM)
    image = tmp_path / "image"
    image.write_bytes(romfs.image(folder))
    assert image.read_bytes()[:3] == b"\xd2\xcd\x31"
    process = await asyncio.create_subprocess_exec(
        micropython, IN_ROM, image, "hello", "there", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.decode().strip() == "from inside and a file ['hello', 'there']"
