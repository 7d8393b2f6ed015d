"""`fieldpost boards`: the boards that fieldpost knows and how each is flashed."""

from rich.console import Console
from rich.table import Table

from host_tools import boards

_HOW = {
    "esp32": "./flash.sh {name} --device NAME --firmware FILE",
    "rp2": "./flash.sh {name} --device NAME --firmware FILE",
    "linux": "comes with the Raspberry Pi service",
}


def run() -> None:
    """List the boards and how to flash each of them."""
    print_table(Console())


def print_table(console: Console) -> None:
    """Print the table."""
    table = Table("board", "what it is", "how to flash it", box=None, pad_edge=False, header_style="bold")
    for name in boards.known():
        board = boards.load(name)
        how = "./flash.sh emulator" if name == "emulator" else _HOW[board.port].format(name=name)
        table.add_row(name, board.title, how)
    console.print(table)
