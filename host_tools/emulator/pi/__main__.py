"""python -m host_tools.emulator.pi SOCKET MODEL MODULE [ARGUMENT...]: run MODULE as if on a Raspberry Pi."""

import runpy
import sys

from host_tools.emulator.pi import kernel

socket_path, model, module = sys.argv[1:4]
kernel.install(socket_path, model)
sys.argv[:] = [module, *sys.argv[4:]]
runpy.run_module(module, run_name="__main__", alter_sys=True)
