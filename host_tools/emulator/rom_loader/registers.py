"""The registers that a host reads and writes through the boot loader: eFuses, UART clock, SPI controller.

What is not modelled reads as it was last written, or as 0.
"""

from host_tools.emulator.rom_loader.chips import MAGIC_ADDRESS, Chip

DEFAULT_BAUD = 115_200
_CRYSTAL_HZ = 40_000_000
_SPI_USER_COMMAND = 1 << 18
_READ_JEDEC_ID = 0x9F
_MANUFACTURER = 0xEF  # Winbond, W25Q..JV
_MEMORY_TYPE = 0x40


class Registers:
    """Of one chip with a flash of `flash_bytes` and the MAC address `mac` (6 bytes)."""

    def __init__(self, chip: Chip, flash_bytes: int, mac: bytes) -> None:
        self.baud = DEFAULT_BAUD
        self._chip = chip
        # JESD216: the third byte of a part's id is the logarithm of its size.
        self._jedec_id = _MANUFACTURER | _MEMORY_TYPE << 8 | (flash_bytes.bit_length() - 1) << 16
        self._values = {
            chip.mac_address: int.from_bytes(mac[2:], "big"),
            chip.mac_address + 4: int.from_bytes(mac[:2], "big"),
        }
        if chip.magic is not None:
            self._values[MAGIC_ADDRESS] = chip.magic

    def read(self, address: int) -> int:
        """Return the 32 bits at `address`."""
        if address == self._chip.uart_divider_address:
            return _CRYSTAL_HZ // self.baud
        return self._values.get(address, 0)

    def write(self, address: int, value: int, mask: int) -> None:
        """Write the bits of `value` that are set in `mask`; a write to the SPI controller's command runs it."""
        value = self.read(address) & ~mask | value & mask
        if address == self._chip.spi_base and value & _SPI_USER_COMMAND:
            self._run_spi_command()
            value &= ~_SPI_USER_COMMAND  # the hardware clears it when the transfer is done
        self._values[address] = value

    def _run_spi_command(self) -> None:
        chip = self._chip
        command = self.read(chip.spi_base + chip.spi_user2_offset) & 0xFF
        answer = self._jedec_id if command == _READ_JEDEC_ID else 0
        self._values[chip.spi_base + chip.spi_data_offset] = answer
