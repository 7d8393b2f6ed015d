# What happens between reset and prompt: the modules of the port, its file system, boot.py, main.py.

import os
import sys

import _wire

_wire.setup(int(sys.argv[1]), int(sys.argv[2]))


# Load what the port has built in, while the folder it comes from can be seen.
def _load_port():
    names = ["machine", "network", "ntptime", "socket", "ssl", "time", _wire.port]
    for name in names:
        sys.modules.pop(name, None)
        __import__(name)
    sys.modules["utime"] = sys.modules["time"]
    sys.modules["usocket"] = sys.modules["socket"]
    if _wire.config["romfs"]:
        import _rom  # it is mounted before everything else


# The TLS library of this interpreter takes no room from the heap, so that nothing is gained by collecting early; and
# looking at all that is alive is most of what a board among many costs.
def _collect_late():
    import gc

    late = type("gc", (), {name: staticmethod(getattr(gc, name)) for name in dir(gc) if name != "threshold"})
    late.threshold = staticmethod(lambda amount=-1: -1)
    sys.modules["gc"] = late


# Run a file if it is there; return whether nothing went wrong. As in the ports' main.c, trouble in boot.py
# keeps main.py from being run.
def _run(path, names, repl):
    try:
        os.stat(path)
    except OSError:
        return True
    try:
        execfile(path, names)
        return True
    except SystemExit:
        repl.soft_reset(False)
    except BaseException as error:
        sys.print_exception(error)
    return False


def main():
    start = _wire.config["start"]
    _load_port()
    import _repl as repl
    import _storage

    _storage.mount(_wire.port)
    del sys.argv[:]
    if _wire.config["many"]:
        _collect_late()
    for name in ("_start", "_storage", "_repl", "_rom", "_flash", "_pin", "_i2c", "_analog", "_wire"):
        sys.modules.pop(name, None)
    names = {"__name__": "__main__"}
    _wire.measure_own_heap()
    try:
        _wire.post(b"Y")  # from here on, interrupts come
        _wire.pass_by()
        if start != "prompt" and _run("boot.py", names, repl) and start == "all":
            _run("main.py", names, repl)
    except KeyboardInterrupt:
        pass
    repl.serve(names, start == "raw")


main()
