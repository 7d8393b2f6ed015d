"""Starts the installed agent with emulated hardware; copied into the Debian root, where nothing of the project is."""

import importlib.util
import runpy
import sys

sys.path[:0] = ["/usr/lib/fieldpost/firmware", "/usr/lib/fieldpost/vendor"]
spec = importlib.util.spec_from_file_location("emulated_kernel", "/opt/bench/kernel.py")
kernel = sys.modules["emulated_kernel"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernel)
kernel.install("/opt/bench/hardware", "4b")
runpy.run_module("fieldpost.daemon", run_name="__main__", alter_sys=True)
