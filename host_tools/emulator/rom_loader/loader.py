"""The boot loader's side of Espressif's serial protocol, without a port: bytes in, bytes out.

    host                                   loader
    SYNC                            ->     8 answers
    GET_SECURITY_INFO, READ_REG     ->     which chip this is
    MEM_BEGIN .. MEM_END            ->     "OHAI": from here on it speaks as esptool's stub does
    FLASH_BEGIN, FLASH_DATA ..      ->     flash
    SPI_FLASH_MD5                   ->     what is in flash now

The stub that a host uploads is code for another processor. It is taken and not run: what it would have said
and done is modelled here. Public source: Espressif, "Serial Protocol", in the documentation of esptool.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable

from host_tools.emulator.nor_flash import NorFlash
from host_tools.emulator.rom_loader import slip
from host_tools.emulator.rom_loader.chips import Chip
from host_tools.emulator.rom_loader.flash_writer import SECTOR_BYTES, FlashWriter
from host_tools.emulator.rom_loader.registers import DEFAULT_BAUD, Registers

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SPI_SET_PARAMS, SPI_ATTACH, READ_FLASH_SLOW, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0E, 0x0F
DEFLATE_BEGIN, DEFLATE_DATA, DEFLATE_END = 0x10, 0x11, 0x12
SPI_FLASH_MD5, GET_SECURITY_INFO = 0x13, 0x14
ERASE_FLASH, ERASE_REGION, READ_FLASH, RUN_USER_CODE = 0xD0, 0xD1, 0xD2, 0xD3

# What a request to enter download mode looks like on the wire; see `is_wanted`.
_SYNC_START = bytes([0xC0, 0x00, SYNC, 0x24, 0x00])
_SYNC_ANSWERS = 8
_SYNC_VALUE = 0x20120707  # a stub would say 0

_BAD_MESSAGE, _FAILED, _BAD_CHECKSUM, _WRITE_FAILED, _INFLATE_FAILED = 0x05, 0x06, 0x07, 0x08, 0x0B
_CHECKSUM_SEED = 0xEF
_CARRIES_DATA = (FLASH_DATA, MEM_DATA, DEFLATE_DATA)
_STUB_ONLY = (ERASE_FLASH, ERASE_REGION, READ_FLASH, RUN_USER_CODE)
_SLOW_READ_BYTES = 64


class _Refused(Exception):
    """The command fails with `reason`."""

    def __init__(self, reason: int) -> None:
        super().__init__(f"reason {reason:#04x}")
        self.reason = reason


class RomLoader:
    """The loader of one chip over its `flash`. on_restart: called when the host ends download mode."""

    def __init__(self, chip: Chip, flash: NorFlash, mac: bytes, on_restart: Callable[[], object]) -> None:
        self.is_stub = False
        self.commands: list[int] = []
        self._chip = chip
        self._flash = flash
        self._on_restart = on_restart
        self._registers = Registers(chip, len(flash.memory), mac)
        self._decoder = slip.Decoder()
        self._writer: FlashWriter | None = None
        self._next_block = 0
        self._reading: _Reading | None = None
        self._later: list[Callable[[], object]] = []
        self._handlers: dict[int, Callable[[bytes], bytes]] = {
            FLASH_BEGIN: lambda body: self._flash_begin(body, False),
            FLASH_DATA: self._flash_data,
            FLASH_END: self._flash_end,
            DEFLATE_BEGIN: lambda body: self._flash_begin(body, True),
            DEFLATE_DATA: self._flash_data,
            DEFLATE_END: self._flash_end,
            MEM_BEGIN: lambda body: b"",
            MEM_DATA: lambda body: b"",
            MEM_END: self._mem_end,
            WRITE_REG: self._write_reg,
            SPI_SET_PARAMS: lambda body: b"",
            SPI_ATTACH: lambda body: b"",
            READ_FLASH_SLOW: self._read_flash_slow,
            CHANGE_BAUDRATE: self._change_baudrate,
            SPI_FLASH_MD5: self._md5,
            GET_SECURITY_INFO: self._security_info,
            ERASE_FLASH: lambda body: self._erase(0, len(self._flash.memory)),
            ERASE_REGION: lambda body: self._erase(*struct.unpack("<II", body[:8])),
            READ_FLASH: self._read_flash,
            RUN_USER_CODE: lambda body: self._restart(),
        }

    @staticmethod
    def is_wanted(data: bytes) -> bool:
        """Whether a host asks for the loader.

        A real one holds GPIO0 low through DTR while it resets the chip through RTS. A pseudo terminal has no
        such lines, so the first SYNC stands for them.
        """
        return _SYNC_START in data

    @property
    def is_inside_frame(self) -> bool:
        """Whether the host has begun a frame and not ended it."""
        return self._decoder.is_inside

    def forget_frame(self) -> None:
        """Give up a frame that the host did not end."""
        self._decoder.forget()

    def take_stray(self) -> bytes:
        """Return the bytes that came between frames since the last call: somebody speaks something else."""
        stray = bytes(self._decoder.stray)
        self._decoder.stray.clear()
        return stray

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the host and return the answer."""
        answer = bytearray()
        for payload in self._decoder.feed(data):
            answer += self._answer(payload)
        later, self._later = self._later, []
        for act in later:
            act()
        return bytes(answer)

    def _answer(self, payload: bytes) -> bytes:
        if self._reading is not None and len(payload) == 4:
            return self._continue_reading(struct.unpack("<I", payload)[0])
        if len(payload) < 8:
            return b""
        direction, command, length, checksum = struct.unpack("<BBHI", payload[:8])
        body = payload[8:]
        if direction != 0:
            return b""
        self.commands.append(command)
        if command == SYNC:
            # A host that begins anew has reset the chip, as far as it knows: the stub is gone.
            self.is_stub = False
            self._registers.baud = DEFAULT_BAUD
            return self._reply(command, value=_SYNC_VALUE) * _SYNC_ANSWERS
        if command == READ_REG:
            return self._reply(command, value=self._registers.read(struct.unpack("<I", body[:4])[0]))
        if command not in self._handlers or not self._knows(command):
            return self._unsupported()
        try:
            if length != len(body):
                raise _Refused(_BAD_MESSAGE)
            if command in _CARRIES_DATA and checksum != _checksum(body[16:]):
                raise _Refused(_BAD_CHECKSUM)
            return self._reply(command, self._handlers[command](body)) + self._greeting(command)
        except _Refused as refused:
            return self._reply(command, reason=refused.reason)
        except zlib.error:
            return self._reply(command, reason=_INFLATE_FAILED)
        except ValueError:
            return self._reply(command, reason=_WRITE_FAILED)
        except struct.error:
            return self._reply(command, reason=_BAD_MESSAGE)

    def _knows(self, command: int) -> bool:
        if command in _STUB_ONLY:
            return self.is_stub
        return command != GET_SECURITY_INFO or self._chip.tells_security_info

    def _reply(self, command: int, data: bytes = b"", value: int = 0, reason: int = 0) -> bytes:
        status = bytes([1, reason]) if reason else b"\0\0"
        # Behind the status the ROMs of this family send two bytes that mean nothing.
        body = (b"" if reason else data) + status + (b"" if self.is_stub else b"\0\0")
        return slip.frame(struct.pack("<BBHI", 1, command, len(body), value) + body)

    def _unsupported(self) -> bytes:
        # As the ROM does: under no command's number, and as often as it answers a SYNC.
        body = bytes([1, _BAD_MESSAGE, 0, 0])
        return slip.frame(struct.pack("<BBHI", 1, 0, len(body), 0) + body) * _SYNC_ANSWERS

    def _greeting(self, command: int) -> bytes:
        if command == MEM_END and self.is_stub:
            return slip.frame(b"OHAI")
        if command == READ_FLASH and self._reading is not None:
            return self._continue_reading(0)
        return b""

    # Downloads

    def _flash_begin(self, body: bytes, is_compressed: bool) -> bytes:
        size, _, _, offset = struct.unpack("<IIII", body[:16])
        if offset + (size if not is_compressed else 0) > len(self._flash.memory):
            raise _Refused(_FAILED)
        erase_first_bytes = 0 if self.is_stub else size
        self._writer = FlashWriter(self._flash, offset, erase_first_bytes, is_compressed)
        self._next_block = 0
        return b""

    def _flash_data(self, body: bytes) -> bytes:
        length, number = struct.unpack("<II", body[:8])
        data = body[16:]
        if self._writer is None or length != len(data):
            raise _Refused(_BAD_MESSAGE)
        if number == self._next_block - 1:
            return b""  # sent again, because the answer got lost
        if number != self._next_block:
            raise _Refused(_FAILED)
        self._writer.write(data)
        self._next_block += 1
        return b""

    def _flash_end(self, body: bytes) -> bytes:
        self._writer = None
        if struct.unpack("<I", body[:4])[0] == 0:
            self._restart()
        return b""

    def _mem_end(self, body: bytes) -> bytes:
        entry = struct.unpack("<II", body[:8])[1]
        # The answer still has the ROM's form, and esptool accepts either.
        self.is_stub = self.is_stub or entry != 0
        return b""

    def _restart(self) -> bytes:
        self._later.append(self._on_restart)  # after the answer
        return b""

    # Looking

    def _write_reg(self, body: bytes) -> bytes:
        for at in range(0, len(body), 16):
            address, value, mask, _ = struct.unpack("<IIII", body[at : at + 16])
            self._registers.write(address, value, mask)
        return b""

    def _change_baudrate(self, body: bytes) -> bytes:
        self._registers.baud = max(1, struct.unpack("<II", body[:8])[0])
        return b""

    def _md5(self, body: bytes) -> bytes:
        offset, size = struct.unpack("<II", body[:8])
        digest = hashlib.md5(self._span(offset, size), usedforsecurity=False)
        return digest.digest() if self.is_stub else digest.hexdigest().encode()

    def _security_info(self, body: bytes) -> bytes:
        return struct.pack("<IB7sII", 0, 0, bytes(7), self._chip.image_id, 0)

    def _read_flash_slow(self, body: bytes) -> bytes:
        offset, size = struct.unpack("<II", body[:8])
        return self._span(offset, size).ljust(_SLOW_READ_BYTES, b"\0")

    def _read_flash(self, body: bytes) -> bytes:
        offset, size, block_bytes, in_flight = struct.unpack("<IIII", body[:16])
        self._reading = _Reading(self._span(offset, size), block_bytes, in_flight)
        return b""

    def _continue_reading(self, confirmed: int) -> bytes:
        assert self._reading is not None
        sent = self._reading.next_frames(confirmed)
        if self._reading.is_done:
            self._reading = None
        return sent

    def _erase(self, offset: int, size: int) -> bytes:
        if offset % SECTOR_BYTES or size % SECTOR_BYTES or offset + size > len(self._flash.memory):
            raise _Refused(_FAILED)
        for sector in range(offset // SECTOR_BYTES, (offset + size) // SECTOR_BYTES):
            self._flash.erase(sector)
        return b""

    def _span(self, offset: int, size: int) -> bytes:
        if offset + size > len(self._flash.memory):
            raise _Refused(_FAILED)
        return bytes(self._flash.memory[offset : offset + size])


class _Reading:
    """One READ_FLASH: blocks go out as long as not too many are unconfirmed, and an MD5 at the end."""

    def __init__(self, data: bytes, block_bytes: int, in_flight: int) -> None:
        self.is_done = False
        self._data = data
        self._block_bytes = block_bytes
        self._window_bytes = block_bytes * in_flight
        self._sent = 0

    def next_frames(self, confirmed: int) -> bytes:
        frames = bytearray()
        while self._sent < len(self._data) and self._sent - confirmed < self._window_bytes:
            frames += slip.frame(self._data[self._sent : self._sent + self._block_bytes])
            self._sent = min(len(self._data), self._sent + self._block_bytes)
        if confirmed >= len(self._data):
            frames += slip.frame(hashlib.md5(self._data, usedforsecurity=False).digest())
            self.is_done = True
        return bytes(frames)


def _checksum(data: bytes) -> int:
    value = _CHECKSUM_SEED
    for byte in data:
        value ^= byte
    return value
