"""All judges of one life on their bench: who hears what, and whether everything has come to rest."""

from collections.abc import Callable
from typing import Any

from host_tools.audit import bodies
from host_tools.simulate.judges import PromiseBroken
from host_tools.simulate.judges.orders import Orders
from host_tools.simulate.judges.readings import Readings, count_of, is_reading, values_of
from host_tools.simulate.judges.stream import Stream

_READINGS_REMEMBERED = 8_000
_MESSAGES_REMEMBERED = 500


class Bench:
    """Raises PromiseBroken from whatever tells it something."""

    def __init__(self) -> None:
        self.readings = Readings()
        self.orders = Orders()
        self.streams: dict[str, Stream] = {}
        self._given = 0
        self._ids: dict[bytes, str] = {}
        self._bodies: dict[str, set[int]] = {}
        self._damages = 0

    def ring(self, ring_id: str, sectors: int, erases: Callable[[], int], in_order: bool) -> Stream:
        """Return the stream of a ring that a boot has opened."""
        if ring_id not in self.streams:
            self.streams[ring_id] = Stream(ring_id, sectors, erases, in_order)
            self.streams[ring_id].damages = self._damages
            self.streams[ring_id].what_of = _what_of
            self.streams[ring_id].content_of = _content_of
            self.streams[ring_id].on_lost = self._on_lost
        return self.streams[ring_id]

    def damage(self) -> None:
        """The power was cut, or a bit has rotted."""
        self._damages += 1
        for stream in self.streams.values():
            stream.damages += 1

    def given(self, count: int, values: tuple[int, ...], utc_ms: int) -> None:
        """The sensor has given a reading."""
        self._given = count
        self.readings.given(count, values, utc_ms)

    def message(self, message_id: str, body: bytes, is_late: bool = False) -> None:
        """The hub has stored a message. is_late: a newer connection had taken over from the one that it came by."""
        try:
            message = bodies.content(body)
            stream = self.streams[message["q"]]
        except (ValueError, TypeError, KeyError) as error:
            raise PromiseBroken(f"message {message_id} cannot be understood: {error!r}: {body!r}") from None
        self._judge_id(message_id, body, message)
        for record in stream.message(message["records"], message.get("lost", []), is_late):
            if is_reading(record):
                self.readings.delivered(stream.ring_id, record)
            elif record.get("event") == "result":
                self.orders.answered(record["id"], record["status"])
            elif record.get("event") == "unknown":
                raise PromiseBroken(f"a record that is not understood: {record}")

    def rest(self) -> None:
        """Everything is settled: judge what only the end can show, and drop what is settled for long."""
        self.orders.judge_rest()
        for stream in self.streams.values():
            stream.forget_old()
        self.readings.forget_before(self._given - _READINGS_REMEMBERED)

    def _judge_id(self, message_id: str, body: bytes, message: dict[str, Any]) -> None:
        """The same body has the same message id, and an id never has two contents."""
        known = self._ids.setdefault(body, message_id)
        if known != message_id:
            raise PromiseBroken(f"the same message came as {known} and as {message_id}")
        # Whoever drops a second message of the same id must miss nothing. A record whose append was cut, though, may
        # read as torn now and as whole then, while another one overflows.
        stream = self.streams[message["q"]]
        numbers = {record["n"] for record in message["records"] if stream.was_appended(record["n"])}
        if not numbers <= self._bodies.setdefault(message_id, numbers):
            raise PromiseBroken(f"message id {message_id} stands for two contents")
        if len(self._ids) > _MESSAGES_REMEMBERED:
            del self._ids[next(iter(self._ids))]
        if len(self._bodies) > _MESSAGES_REMEMBERED:
            del self._bodies[next(iter(self._bodies))]

    def _on_lost(self, what: Any) -> None:
        if isinstance(what, str):
            self.orders.answer_lost(what)


def _what_of(record: dict[str, Any]) -> int | str | None:
    """Return a reading's count, the id of the command that a result answers, or None."""
    if is_reading(record):
        return count_of(record)
    return str(record["id"]) if record.get("event") == "result" else None


def _content_of(record: dict[str, Any]) -> Any:
    """Return what must not change when a record comes again.

    Its time of day may have been corrected, and a reading whose schema was overwritten comes as bytes.
    """
    if is_reading(record):
        return values_of(record), record["boot"], record["up"]
    return {key: value for key, value in record.items() if key != "t"}
