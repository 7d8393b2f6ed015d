"""Board files: the ones that ship are right, and one that is not says so in terms of its author."""

import re
from pathlib import Path

import pytest

from host_tools import boards
from host_tools.boards.catalog import BOARDS
from host_tools.errors import UserError
from host_tools.flash.release import release_for


@pytest.mark.parametrize("name", boards.known())
def test_a_device_accepts_the_configuration_of_every_board(name: str) -> None:
    config = boards.load(name).device_config("shed-1", "hub.example", wifi=[{"ssid": "shed"}])
    assert config["device"] == "shed-1"
    assert config["hub"] == {"dialect": "azure", "host": "hub.example", "port": 8883, "twin": boards.load(name).twin}


def test_the_boards_that_ship() -> None:
    assert boards.known() == [
        "emulator",
        "esp32",
        "esp32c3",
        "esp32s3",
        "pico2_w",
        "pico_w",
        "raspberry_pi",
    ]


@pytest.mark.parametrize("name", boards.known())
def test_every_board_has_wiring_notes_that_agree_with_its_pins(name: str) -> None:
    board = boards.load(name)
    notes = (BOARDS / name / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", notes, re.MULTILINE))
    assert rows == {pin: str(entry["gpio"]) for pin, entry in board.pins.items()}
    assert f"SCL {board.i2c['scl']}, SDA {board.i2c['sda']}" in notes


def test_partitions_of_the_esp32_leave_the_stock_application_where_it_is() -> None:
    board = boards.load("esp32")
    assert (board.partition("factory").offset, board.partition("factory").size) == (0x10000, 0x1F0000)
    queue = board.partition("queue")
    assert queue.size == board.ring["sectors"] * 4096
    assert board.partition("vfs").offset == queue.offset + queue.size


def test_the_emulator_in_the_shape_of_another_board_has_its_hardware_and_its_own_name() -> None:
    shaped = boards.load("emulator").in_shape_of(boards.load("pico_w"))
    assert (shaped.name, shaped.port, shaped.heap_bytes) == ("emulator", "rp2", 207_136)
    assert shaped.device_config("emulator-1", "localhost", wifi=[{"ssid": "shed"}])["ring"]["kind"] == "lent"


def test_an_unknown_board_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match=r"board 'pico' is not known: choose one of emulator, esp32, esp32c3, esp32s3, pico2_w, pico_w"
    ):
        boards.load("pico")


def test_a_setting_that_the_device_would_refuse_is_refused_here() -> None:
    with pytest.raises(UserError, match="sample_interval_ms is 7: expected an integer from 50"):
        boards.load("emulator").device_config("emulator-1", "localhost", sample_interval_ms=7)


@pytest.mark.parametrize(
    ("board", "old", "new", "said"),
    [
        ("pico_w", "gpio = 15", "gpio = 64", "pins.relay.gpio is 64: expected an integer from 0 to 63"),
        (
            "pico_w",
            "gpio = 15",
            "gpio = 25",
            "pins.relay.gpio is 25: expected one that is free; reserved_gpios has it",
        ),
        (
            "pico_w",
            "gpio = 15",
            "gpio = 5",
            "pins.relay.gpio is 5: expected one that is free; i2c.scl has it",
        ),
        ("pico_w", "gpio = 15\nsafe = 0", "gpio = 15", "pins.relay.safe is missing"),
        ("pico_w", 'kind = "lent"', 'kind = "partition"', 'ring.kind is "partition": expected lent'),
        (
            "pico_w",
            "sectors = 64",
            "sectors = 200",
            "ring.sectors is 200: expected at most half of the storage, 106",
        ),
        (
            "pico_w",
            "bytes = 0xD_4000",
            "bytes = 0xE_0000",
            "storage.bytes is 917504: expected at most 868352",
        ),
        ("pico_w", "heap_bytes", "heap", "heap is not a known key: expected one of title, port, heap_bytes"),
        (
            "pico_w",
            "watchdog_ms = 8000",
            "",
            "watchdog_ms is missing: expected an integer from 2000 to 60000",
        ),
        ("pico_w", "address = 0x77", "address = 0x78", "sensors[0].address is 120: expected one of 118, 119"),
        ("pico_w", "[i2c]", "[i2c", "cannot be read as TOML"),
        ("esp32", "gpio = 26", "gpio = 34", "pins.relay.gpio is 34: expected one that can be an output"),
        (
            "esp32",
            "offset = 0x20_0000",
            "offset = 0x1F_F000",
            "partitions.queue.offset is 2093056: expected at least 2097152, where partitions.factory ends",
        ),
        (
            "esp32",
            "bytes = 0x4_0000",
            "bytes = 0x3_0000",
            "ring.sectors is 64: expected 48, as partition queue has",
        ),
        (
            "esp32",
            "offset = 0x24_0000",
            "offset = 0x24_0001",
            "partitions.vfs.offset is 2359297: expected a multiple",
        ),
        (
            "esp32",
            '\nlabel = "queue"\nsectors',
            '\nlabel = "log"\nsectors',
            'ring.label is "log": expected one of',
        ),
        (
            "raspberry_pi",
            'path = "/var/lib/fieldpost/queue"',
            "",
            "ring.path is missing: expected the path of a file",
        ),
    ],
)
def test_a_wrong_board_file_names_the_key_and_what_is_expected(
    tmp_path: Path, board: str, old: str, new: str, said: str
) -> None:
    text = (BOARDS / board / "board.toml").read_text()
    assert old in text
    (tmp_path / board).mkdir()
    (tmp_path / board / "board.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as raised:
        boards.load(board, tmp_path)
    assert str(raised.value).startswith(f"boards/{board}/board.toml")
    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["esp32", "esp32c3", "esp32s3", "pico_w", "pico2_w"])
def test_every_board_that_is_flashed_has_its_release(name: str) -> None:
    release = release_for(name)
    assert f"v{release.version}." in release.file
    assert release.is_uf2 == (boards.load(name).port == "rp2")
    assert release.chip == {"pico_w": "rp2040", "pico2_w": "rp2350"}.get(name, name)
    assert release.offset == (0x1000 if name == "esp32" else 0)
