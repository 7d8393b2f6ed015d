"""Runs a program as if on a Raspberry Pi, with nothing else of the project in its memory.

    on_pi.py KERNEL SOCKET FOLDERS PROGRAM [ARGUMENT...]

FOLDERS come last on the import path, separated by colons. PROGRAM is a file, or the name of a module.
"""

import importlib.util
import runpy
import sys


def main() -> None:
    """Put the emulated kernel in, then run the program."""
    kernel_file, socket_path, folders, program, *arguments = sys.argv[1:]
    sys.path += folders.split(":")
    spec = importlib.util.spec_from_file_location("emulated_kernel", kernel_file)
    assert spec and spec.loader
    kernel = sys.modules["emulated_kernel"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernel)
    kernel.install(socket_path, "4b")
    sys.argv[:] = [program, *arguments]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
