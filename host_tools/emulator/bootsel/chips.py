"""What tells the chips with a BOOTSEL drive apart, and when each takes what is in flash for a program.

Sources: Raspberry Pi, "RP2040 Datasheet" sections 2.8.1.3 (second stage) and 2.8.4 (USB mass storage),
"RP2350 Datasheet" sections 5.5 (UF2) and 5.9 (metadata blocks); Microsoft, "USB Flashing Format (UF2)".
"""

from dataclasses import dataclass

FLASH_ADDRESS = 0x1000_0000
_SECOND_STAGE_BYTES = 256
_CRC_POLYNOMIAL = 0x04C1_1DB7
_BLOCK_MARKER_START = bytes.fromhex("d3deffff")
_BLOCK_SEARCH_BYTES = 4096


@dataclass(frozen=True)
class RpChip:
    """One chip: how its drive introduces itself, and the family of the UF2 blocks that it takes."""

    name: str
    board_id: str
    model: str
    family: int

    def can_boot(self, flash: bytes) -> bool:
        """Whether its ROM would jump into `flash` rather than show the drive."""
        if self.name == "rp2040":
            stage = flash[:_SECOND_STAGE_BYTES]
            return crc32(stage[:-4]) == int.from_bytes(stage[-4:], "little")
        return _BLOCK_MARKER_START in flash[:_BLOCK_SEARCH_BYTES]


CHIPS = {
    "rp2040": RpChip("rp2040", "RPI-RP2", "Raspberry Pi RP2", 0xE48B_FF56),
    "rp2350": RpChip("rp2350", "RP2350", "Raspberry Pi RP2350", 0xE48B_FF59),
}


def crc32(data: bytes) -> int:
    """Return the CRC-32 that the RP2040's ROM computes: most significant bit first, from all ones, not inverted."""
    value = 0xFFFF_FFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ _CRC_POLYNOMIAL if value & 0x8000_0000 else value << 1) & 0xFFFF_FFFF
    return value
