"""The boards that fieldpost knows, read from boards/NAME/board.toml and checked before anyone uses them."""

from host_tools.boards.board import ROMFS, Board, Partition, Storage
from host_tools.boards.catalog import known, load

__all__ = ["ROMFS", "Board", "Partition", "Storage", "known", "load"]
