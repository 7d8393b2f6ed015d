# The chip's wires to the supervisor: a socket for what needs doing (chip_messages.py), a page of memory for
# what is read often (registers.py), and the wait in which an idle board costs nothing.
#
# Comments instead of docstrings all over this folder: these modules live in the heap of the board.

import gc
import json
import select
import struct

import uctypes
from micropython import const

_REPLY_BYTES = const(300)
_CONFIG = const(256)
_PINS_ANSWERED = const(6)
_INTERRUPT = const(7)
_HEAP_BASE = const(24)
_HEAP_PEAK = const(28)
_HEAP_MEASURED = const(44)
_ENOMEM = const(12)
_PROT_READ_WRITE = const(3)
_PROT_READ = const(1)
_MAP_SHARED = const(1)
_MAP_FIXED_NOREPLACE = const(0x10_0000)
_PR_SET_PDEATHSIG = const(1)
_SIGKILL = const(9)
_SIG_BLOCK = const(0)
_SIG_UNBLOCK = const(1)

config = None
port = ""
reply = bytearray(_REPLY_BYTES)
page = None
page_at = 0
_socket = None
_readable = select.poll()
_writable = select.poll()
_sigprocmask = None
_interrupts = bytearray(128)  # a sigset_t
_interrupts[0] = 2  # SIGINT
_peak = 0
_mmap = None


def setup(socket_number, page_number):
    global config, port, page, page_at, _socket, _sigprocmask, _mmap
    import ffi

    libc = ffi.open("libc.so.6")
    libc.func("i", "prctl", "iLLLL")(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    _sigprocmask = libc.func("i", "sigprocmask", "ipp")
    _mmap = libc.func("p", "mmap", "pLiiil")
    refuse_interrupts()
    _socket = open(socket_number, "r+b")
    page_at, size = map_file(open(page_number, "r+b"))  # mapped for good, so that the file may go
    page = uctypes.bytearray_at(page_at, size)
    config = json.loads(bytes(page[_CONFIG : page.find(b"\n", _CONFIG)]))
    port = config["port"]
    _readable.register(_socket, select.POLLIN)
    _writable.register(_socket, select.POLLOUT)


# Messages


def post(message):
    while _socket.write(message) is None:
        for _ in _writable.ipoll(1000):
            pass


# Send a message and return the first byte of its answer; the rest is in `reply` from index 1.
def call(message):
    post(message)
    for _ in _readable.ipoll(-1):
        pass
    if not _socket.readinto(reply):
        raise SystemExit  # the supervisor has gone
    return reply[0]


# Tell what a pin does now. While a power cut waits for an edge, nothing goes on before it is known to have passed.
# The last byte of the message says whether it is answered.
def post_pin(message):
    message[-1] = get(_PINS_ANSWERED)
    if message[-1]:
        call(message)
    else:
        post(message)


# Interrupts
#
# The interpreter raises KeyboardInterrupt out of the signal handler, between any two machine instructions: inside
# littlefs, which is left with half a thought, or while it allocates. So the signal is kept back except where a
# program waits, or passes by.


def refuse_interrupts():
    _sigprocmask(_SIG_BLOCK, _interrupts, None)


def take_interrupts():
    _sigprocmask(_SIG_UNBLOCK, _interrupts, None)


# Let an interrupt in that has come meanwhile.
def pass_by():
    if not page[_INTERRUPT]:
        return
    try:
        take_interrupts()
        refuse_interrupts()
    except KeyboardInterrupt:
        interrupted()


# Tell the supervisor that its interrupt has arrived, and go on with it.
def interrupted():
    refuse_interrupts()
    page[_INTERRUPT] = 0
    post(b"A")
    raise KeyboardInterrupt


# Wait while nothing happens. Returns at once for 0.
def wait(ms):
    sample_heap()
    if ms <= 0:
        pass_by()
        return
    try:
        take_interrupts()
        for _ in _readable.ipoll(ms):
            raise SystemExit  # nobody asked anything, so this is the supervisor's end
        refuse_interrupts()
    except KeyboardInterrupt:
        interrupted()


# End this run; the supervisor starts the next one.
def reset(kind, ms=0):
    post(struct.pack("<BBI", 82, kind, ms))
    while True:
        for _ in _readable.ipoll(1 << 20):
            raise SystemExit


# Memory that both sides see


# Map a file whole; return its address and its size. At an address that is asked for it can only be read.
def map_file(file, wanted=None):
    size = file.seek(0, 2)
    access, flags = _PROT_READ_WRITE, _MAP_SHARED
    if wanted is not None:
        access, flags = _PROT_READ, _MAP_SHARED | _MAP_FIXED_NOREPLACE
    address = _mmap(wanted, size, access, flags, file.fileno(), 0)
    if address & 0xFFF:
        raise OSError(_ENOMEM)  # MAP_FAILED, -1
    return address, size


def get(offset):
    return page[offset]


def put(offset, value):
    page[offset] = value


def get_u16(offset):
    return page[offset] | page[offset + 1] << 8


def put_u16(offset, value):
    struct.pack_into("<H", page, offset, value)


def put_u32(offset, value):
    struct.pack_into("<I", page, offset, value)


def get_i64(offset):
    return struct.unpack_from("<q", page, offset)[0]


def put_i64(offset, value):
    struct.pack_into("<q", page, offset, value)


def sample_heap():
    global _peak
    if not page[_HEAP_MEASURED]:
        return
    used = gc.mem_alloc()
    if used > _peak:
        _peak = used
        put_u32(_HEAP_PEAK, used)


# The board's own programs come next: what is in use now is the emulator's.
def measure_own_heap():
    global _peak
    gc.collect()
    _peak = gc.mem_alloc()
    put_u32(_HEAP_BASE, _peak)
    put_u32(_HEAP_PEAK, _peak)
