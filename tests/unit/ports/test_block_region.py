"""The ring on block devices as the two ports give them: esp32.Partition takes bytes, rp2.Flash whole pages only.

Goal: nothing is lost, repeated or written outside the region, whatever the device is like and wherever the power
goes. Method: devices with the manners that MicroPython's sources show (ports/esp32/esp32_partition.c,
ports/rp2/rp2_flash.c), the same workload on each, cut in every operation, against a list.
"""

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ring.log import Ring
from support import raises

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTORS = 4
FIRMWARE_SECTORS = 3  # of the chip, before the storage that rp2.Flash numbers from 0
STORAGE_SECTORS = 12
STEPS = 800  # more than three laps
CUTS_STRIDE = 47
RETIRED_MAX = 96 // 12  # as many of the smallest frames as fit in the largest here, if its head cannot be read
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
CHIP = memoryview(bytearray((FIRMWARE_SECTORS + STORAGE_SECTORS) * 4096))  # one for all: heaps break up
BLANK = b"\xff" * 4096


def blank_chip(sectors):
    for start in range(0, sectors * 4096, 4096):
        CHIP[start : start + 4096] = BLANK
    return CHIP[: sectors * 4096]


class Partition:
    """esp32.Partition with blocks of 4096 bytes: any offset and length, split at pages; checks its bounds."""

    def __init__(self, unit_bytes, block_size=4096):
        self.flash = NorFlash(blank_chip(SECTORS), unit_bytes=unit_bytes, write_once=True)
        self._block_size = block_size

    def readblocks(self, block, buffer, offset):
        self._check(block, offset, len(buffer))
        self.flash.read(block * 4096 + offset, buffer)

    def writeblocks(self, block, data, offset):
        self._check(block, offset, len(data))
        start = block * 4096 + offset
        while len(data):
            length = min(256 - start % 256, len(data))
            self.flash.program(start, data[:length])
            start += length
            data = data[length:]

    def ioctl(self, request, block):
        assert request == 6
        if self._block_size != 4096:
            return -22  # it returns the code, it does not raise
        self._check(block, 0, 4096)
        self.flash.erase(block)
        return 0

    def _check(self, block, offset, length):
        if block < 0 or block * 4096 + offset + length > SECTORS * 4096:
            raise OSError(-260)


class Rp2Flash:
    """rp2.Flash: whole aligned pages, no bounds check, and no word about what went wrong.

    A length that is no multiple of a page is rounded up, and what follows the buffer in RAM is programmed too.
    """

    def __init__(self):
        self.flash = NorFlash(blank_chip(FIRMWARE_SECTORS + STORAGE_SECTORS))
        self.sent = []

    def readblocks(self, block, buffer, offset):
        self.flash.read((FIRMWARE_SECTORS + block) * 4096 + offset, buffer)

    def writeblocks(self, block, data, offset):
        start = (FIRMWARE_SECTORS + block) * 4096 + offset
        assert start % 256 == 0 and len(data) % 256 == 0, "the ROM would program whatever lies behind the buffer"
        self.sent = self.sent[-1:] + [bytes(data)]
        for at in range(0, len(data), 256):
            self.flash.program(start + at, data[at : at + 256])

    def ioctl(self, request, block):
        if request == 6:
            self.flash.erase(FIRMWARE_SECTORS + block)


LENT = (7, 2, 11, 4)  # blocks that need not be neighbours, nor in order


def esp32(unit_bytes=4):
    device = Partition(unit_bytes)
    return device, BlockRegion(device, range(SECTORS), unit_bytes)


def pico_w():
    device = Rp2Flash()
    return device, BlockRegion(device, LENT, 4, whole_pages=True)


KINDS = (esp32, lambda: esp32(16), pico_w)


def payload(number):
    return bytes([(number * 31 + i) & 0xFF for i in range(60 + number % 23)])


def numbers(ring):
    """Return what can be read; all of it must be what was stored."""
    reader = ring.reader()
    found = []
    while True:
        length = reader.next(BUFFER)
        if length < 0:
            return found
        assert BUFFER[:length] == payload(reader.number)
        found.append(reader.number)


def work(ring, promised):
    """Append, forget and erase ahead; `promised` is [appended, forgotten, being forgotten]."""
    for step in range(STEPS):
        ring.append(1, payload(ring.next_number))
        promised[0] = ring.next_number - 1
        if step % 7 == 6 and not 250 <= step < 600:
            promised[2] = promised[0] - step % 3
            if promised[2] > ring.cursor:
                ring.forget(promised[2])
                promised[1] = promised[2]
        if step % 5 == 4:
            ring.maintain()


def test_every_kind_of_device_holds_a_ring_over_three_laps():
    for make in KINDS:
        device, region = make()
        ring = Ring(region)
        work(ring, [0, 0, 0])
        assert ring.newest > 3 * SECTORS and ring.damaged == 0
        assert numbers(Ring(region)) == numbers(ring) == list(range(ring.oldest, STEPS + 1))
        assert device.flash.violations == 0


def test_no_cut_on_any_kind_of_device_costs_a_record():
    for make in KINDS:
        cuts = operation = 0
        while True:
            device, region = make()
            flash = device.flash
            flash.strict = False
            promised = [0, 0, 0]
            ring = Ring(region)
            flash.cut_at(operation, scattered=cuts % 2 == 1)
            try:
                work(ring, promised)
                break
            except PowerCut:
                flash.power_up()
            cuts += 1
            operation += CUTS_STRIDE
            after = Ring(region)
            found = numbers(after)
            assert after.cursor in promised[1:], operation
            last = found[-1] if found else promised[0]
            assert last in (promised[0], promised[0] + 1), operation
            assert found == list(range(after.oldest, last + 1)), operation
            assert promised[0] < after.next_number <= promised[0] + 1 + RETIRED_MAX, operation
            number = after.append(1, payload(after.next_number))
            assert numbers(Ring(region))[-1] == number, operation
        assert cuts > 18, cuts


def test_a_pico_is_sent_whole_pages_and_nothing_that_is_not_meant():
    device, region = pico_w()
    ring = Ring(region)
    for number in range(1, 4):
        ring.append(1, payload(number))
    first, second = device.sent[-2:]
    assert len(first) == len(second) == 256
    for old, new in zip(first, second):
        assert old == 0xFF or new == 0xFF, "what stands there already is sent as 0xFF, which leaves it alone"


def test_a_pico_never_hears_of_a_block_that_was_not_lent():
    """rp2.Flash takes block -1 for the end of the firmware, and any large one for what lies behind the storage."""
    device, region = pico_w()
    page = memoryview(bytearray(256))
    for offset in (-256, -1, SECTORS * 4096, SECTORS * 4096 - 255, 1 << 30):
        for ask in (region.read, region.program):
            with raises(ValueError):
                ask(offset, page)
    for sector in (-1, SECTORS, 1 << 20):
        with raises(ValueError):
            region.erase(sector)
    assert device.sent == [] and device.flash.operations == device.flash.reads == 0
    work(Ring(region), [0, 0, 0])
    for block in range(-FIRMWARE_SECTORS, STORAGE_SECTORS):
        touched = device.flash.sector_erases[FIRMWARE_SECTORS + block] > 0
        assert touched == (block in LENT), block


def test_an_erase_that_the_device_refuses_is_an_error():
    device = Partition(4, block_size=512)
    region = BlockRegion(device, range(SECTORS))
    with raises(OSError) as refusal:
        region.erase(0)
    assert "22" in refusal.message
    with raises(OSError):
        Ring(region).append(1, b"a record that nothing was erased for")
    assert device.flash.operations == 0


def test_a_neighbour_in_the_page_that_a_cut_disturbs_is_all_that_is_lost():
    """Microchip tells of SST26VF016B that a cut program may disturb other bytes of its page (SST26VF data sheet)."""
    for make in KINDS:
        for victim in range(1, 4):
            device, region = make()
            flash = device.flash
            flash.strict = False
            ring = Ring(region)
            ring.append(1, payload(1))
            ring.leave_sector()
            while ring.open_page != 1:
                ring.append(1, payload(ring.next_number))
            first = ring.next_number - 1  # the only frame in its page
            ring.append(1, payload(first + 1))
            start = (region._blocks[ring.newest % SECTORS] * 4096) + 256
            start += FIRMWARE_SECTORS * 4096 if make is pico_w else 0
            flash.cut_at(0, 5)
            try:
                ring.append(1, payload(first + 2))
                raise AssertionError("no cut")
            except PowerCut:
                flash.power_up()
            for index in range(victim, 40, 7):
                flash.memory[start + index] &= 0x7F ^ 1 << victim
            after = Ring(region)
            found = numbers(after)
            assert [n for n in range(1, first + 2) if n not in found] == [first], (victim, found)
            assert after.damaged and after.next_number >= first + 2
            after.append(1, payload(after.next_number))
            assert numbers(Ring(region))[-1] == after.next_number - 1


def test_a_page_of_the_rings_will_do_for_programming_whole_pages():
    _, region = pico_w()
    scratch = memoryview(bytearray(2 * region.page_bytes))
    region.share_page(scratch[region.page_bytes :])
    ring = Ring(region, scratch)
    for number in range(1, 101):
        assert ring.append(1, payload(number)) == number
    assert numbers(Ring(region, scratch)) == list(range(1, 101))
