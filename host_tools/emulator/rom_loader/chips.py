"""What tells the chips of the ESP32 family apart, as far as a boot loader shows it.

Register addresses and numbers: Espressif, "ESP32 Technical Reference Manual" and those of its successors,
chapters on SPI, eFuse and UART; Espressif, "Serial Protocol" in the documentation of esptool.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """One chip. Addresses are in its address space; boot_offset is where the ROM looks for the second stage.

    image_id: of the chip in the header of an image. magic: what MAGIC_ADDRESS reads as on chips that are told
    apart by it; other chips say their image_id in their security information.
    """

    name: str
    image_id: int
    boot_offset: int
    magic: int | None
    spi_base: int
    spi_user2_offset: int
    spi_data_offset: int
    mac_address: int
    uart_divider_address: int

    @property
    def tells_security_info(self) -> bool:
        """Whether its ROM knows GET_SECURITY_INFO; the first ESP32 does not."""
        return self.magic is None


MAGIC_ADDRESS = 0x40001000

CHIPS = {
    chip.name: chip
    for chip in (
        Chip("esp32", 0, 0x1000, 0x00F01D83, 0x3FF42000, 0x24, 0x80, 0x3FF5A004, 0x3FF40014),
        Chip("esp32s3", 9, 0x0, None, 0x60002000, 0x20, 0x58, 0x60007044, 0x60000014),
        Chip("esp32c3", 5, 0x0, None, 0x60002000, 0x20, 0x58, 0x60008844, 0x60000014),
    )
}
