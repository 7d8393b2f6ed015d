# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What the emulator does for every instruction and for every bit to the Wi-Fi chip, without leaving C.

The same as rp2040py's execute_batch and GSPIBus.attach_gpio (0.3.6), which look Python attributes up each time.
Built by `quick.py` where that is possible; everything works without it.
"""

from rp2040py.gpio_pin import GPIOPinState

from rp2040py.native._cortex_m0_core cimport CortexM0Core
from rp2040py.native._gpio_pin cimport GPIOPin
from rp2040py.native._pio cimport RPPIO
from rp2040py.native._rp2040 cimport RP2040
from rp2040py.native._simulation_clock cimport SimulationClock

cdef double CYCLE_NANOSECONDS = 8.0  # 125 MHz, as rp2040py has it
cdef object HIGH = GPIOPinState.HIGH


cdef class EngineRoom:
    """Runs one chip. stopped: set it, from within an alarm or from outside, to end `run`."""

    cdef public bint stopped
    cdef CortexM0Core _core
    cdef SimulationClock _clock
    cdef RPPIO _pio0
    cdef RPPIO _pio1

    def __init__(self, RP2040 chip):
        self._core = chip.core
        self._clock = chip.clock
        self._pio0, self._pio1 = chip.pio

    def run(self, long instructions):
        """Run so many instructions, or less if `stopped`; asleep, the chip goes from alarm to alarm."""
        cdef CortexM0Core core = self._core
        cdef SimulationClock clock = self._clock
        cdef RPPIO pio0 = self._pio0
        cdef RPPIO pio1 = self._pio1
        cdef long long cycles
        cdef double idle
        while instructions > 0 and not self.stopped:
            instructions -= 1
            if core.waiting:
                idle = clock.nanos_to_next_alarm
                clock.tick(idle)
                cycles = <long long>(idle / CYCLE_NANOSECONDS) or 1
            else:
                cycles = core.execute_instruction()
                clock.tick(cycles * CYCLE_NANOSECONDS)
            if not pio0.stopped:
                pio0.advance(cycles)
            if not pio1.stopped:
                pio1.advance(cycles)


cdef class _Bits:
    """The clock line of the Wi-Fi chip's bus (gSPI): gathers the host's bits to words of 32."""

    cdef object _bus
    cdef GPIOPin _data
    cdef unsigned int _word
    cdef int _count

    def __init__(self, bus, GPIOPin data):
        self._bus = bus
        self._data = data

    def select(self, new, old):
        """Begin or end a transfer: the line of the chip select has moved."""
        self._word = self._count = 0
        self._bus._on_cs_change(new is not HIGH)

    def clock(self, new, old):
        """Take a bit at a rising edge, or give one at a falling."""
        bus = self._bus
        if new is HIGH:
            if old is HIGH or bus._response_bytes or not bus._selected:
                return
            self._count += 1
            if self._count < 32:
                self._word = self._word << 1 | (self._data._state_code() == 1)
                return
            bus._shift_reg, bus._bits_in_word = self._word, 31
            self._word = self._count = 0
            bus._on_clock_rising(self._data._state_code() == 1)
        elif old is HIGH and bus._response_bytes:
            bit = bus._on_clock_falling()
            if bit is not None:
                self._data.set_input_value(bit)


def wire(bus, chip, int clk, int data, int cs):
    """Hang rp2040py's GSPIBus on these pins."""
    bus._data_pin = chip.gpio[data]
    bits = _Bits(bus, chip.gpio[data])
    chip.gpio[cs].add_listener(bits.select)
    chip.gpio[clk].add_listener(bits.clock)
