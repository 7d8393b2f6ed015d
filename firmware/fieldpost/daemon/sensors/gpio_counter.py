"""Edges of a GPIO, counted by the kernel (libgpiod 2): water meters, rain gauges, anemometers, S0 outputs.

The kernel keeps what comes between two looks, EVENTS_MAX edges: at ten looks a second, 10,000 edges a second.
"""

from datetime import timedelta

from fieldpost.errors import SensorError

EVENTS_MAX = 1024
_COUNT_SPAN = 1 << 40


def make(port, settings):
    """Return the counter. Raises SensorError that says what to do."""
    gpio = settings["gpio"]
    try:
        import board
        import gpiod
        from gpiod.line import Direction, Edge

        # Blinka knows which controller the header's pins are on; it differs between models.
        chip = getattr(board, "D%d" % gpio).chip_index
        line = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge[settings["edge"].upper()],
            debounce_period=timedelta(microseconds=settings["debounce_us"]),
        )
        request = gpiod.request_lines(
            "/dev/gpiochip%d" % chip, {gpio: line}, consumer="fieldpost", event_buffer_size=EVENTS_MAX
        )
    except PermissionError as error:
        raise SensorError("GPIO %d: no permission: add the service's user to the group gpio" % gpio) from error
    except (OSError, ValueError, RuntimeError, ImportError, AttributeError) as error:
        raise SensorError("GPIO %d cannot be counted: %s" % (gpio, error)) from error
    return GpioCounter(request, settings["label"])


class GpioCounter:
    """Edges since the service started; the reading's boot number tells one start from the next."""

    def __init__(self, request, label):
        self.schema = "%s,u5,0,1" % label
        self.count = 0
        self._request = request

    def poll(self):
        """Fetch what the kernel has counted."""
        try:
            while self._request.wait_edge_events(timedelta(0)):
                self.count += len(self._request.read_edge_events(EVENTS_MAX))
        except OSError as error:
            raise SensorError("the counter's GPIO cannot be read: %s" % error) from error

    def read(self):
        self.poll()
        return (self.count % _COUNT_SPAN,)
