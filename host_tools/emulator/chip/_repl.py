# The prompt, friendly and raw, with raw paste (MicroPython documentation, "The MicroPython Interactive
# Interpreter Mode"). The packaged unix interpreter has no raw mode of its own.

import sys

import _wire
from micropython import const

_WINDOW = const(128)
_SOFT = const(1)
_SOFT_RAW = const(2)

_input = sys.stdin.buffer
_output = sys.stdout.buffer


class _Leave(Exception):
    pass


# Serve until the board is reset.
def serve(names, is_raw):
    while True:
        try:
            if is_raw:
                _raw(names)
            else:
                _friendly(names)
            is_raw = not is_raw
        except KeyboardInterrupt:
            _output.write(b"\r\n")


def _read():
    try:
        _wire.take_interrupts()
        byte = _input.read(1)
        _wire.refuse_interrupts()
    except KeyboardInterrupt:
        _wire.interrupted()
    if not byte:
        raise SystemExit
    return byte


def soft_reset(is_raw):
    _output.write(b"MPY: soft reboot\r\n")
    _wire.reset(_SOFT_RAW if is_raw else _SOFT)


def _run(source, mode, names):
    exec(compile(bytes(source) if mode == "exec" else source, "<stdin>", mode), names)


# Friendly


def _banner():
    _output.write(b"\r\n%s; emulated %s\r\n" % (sys.version.split("; ")[-1].encode(), _wire.port.encode()))
    _output.write(b'Type "help()" for more information.\r\n')


def _friendly(names):
    _banner()
    while True:
        _output.write(b">>> ")
        try:
            source = _edit()
        except KeyboardInterrupt:
            _output.write(b"\r\n")
            continue
        except _Leave:
            return
        if source:
            _attempt(source, "single", names)


def _attempt(source, mode, names):
    try:
        _run(source, mode, names)
    except SystemExit:
        soft_reset(False)
    except BaseException as error:
        sys.print_exception(error)


# Read one line, or the lines of a block up to an empty one; control characters act.
def _edit():
    source = ""
    line = bytearray()
    while True:
        byte = _read()
        if byte == b"\x01":
            raise _Leave
        if byte == b"\x02":
            _banner()
            return ""
        if byte == b"\x04" and not line:
            _output.write(b"\r\n")
            soft_reset(False)
        elif byte == b"\x05":
            return _paste()
        elif byte in b"\r\n":
            _output.write(b"\r\n")
            text = bytes(line).decode()
            if not source and not text.rstrip().endswith(":"):
                return text
            source += text + "\n"
            if not text:
                return source
            line = bytearray()
            _output.write(b"... ")
        elif byte in b"\x08\x7f":
            if line:
                line = line[:-1]
                _output.write(b"\x08 \x08")
        else:
            line += byte
            _output.write(byte)


def _paste():
    _output.write(b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    source = bytearray()
    while True:
        byte = _read()
        if byte == b"\x04":
            _output.write(b"\r\n")
            return source.decode()
        source += b"\n" if byte == b"\r" else byte
        _output.write(b"\r\n=== " if byte == b"\r" else byte)


# Raw


def _raw(names):
    _output.write(b"raw REPL; CTRL-B to exit\r\n")
    while True:
        _output.write(b">")
        try:
            source = _raw_source()
        except KeyboardInterrupt:
            continue
        except _Leave:
            _output.write(b"\r\n")
            return
        if source is None:
            _output.write(b"OK\r\n")
            soft_reset(True)
        _raw_run(source, names)


# Return what to run, None for a soft reset.
def _raw_source():
    source = bytearray()
    while True:
        byte = _read()
        if byte == b"\x01":
            source = bytearray()
            _output.write(b"raw REPL; CTRL-B to exit\r\n>")
        elif byte == b"\x02":
            raise _Leave
        elif byte == b"\x04":
            if not source:
                return None
            _output.write(b"OK")
            return source
        elif byte == b"\x05" and not source:
            if _read() != b"A":
                continue
            if _read() != b"\x01":
                _output.write(b"R\x00")
                continue
            return _raw_paste()
        else:
            source += byte


def _raw_paste():
    _output.write(b"R\x01" + bytes((_WINDOW, 0)) + b"\x01")
    source = bytearray()
    left = _WINDOW
    while True:
        byte = _read()
        if byte == b"\x04":
            _output.write(b"\x04")
            return source
        source += byte
        left -= 1
        if left == 0:
            left = _WINDOW
            _output.write(b"\x01")


def _raw_run(source, names):
    error = None
    try:
        _run(source, "exec", names)
        _output.write(b"\x04")
    except SystemExit:
        _output.write(b"\x04\x04")
        soft_reset(True)
    except BaseException as raised:
        error = raised
        _output.write(b"\x04")
    if error is not None:
        sys.print_exception(error)
    _output.write(b"\x04")
