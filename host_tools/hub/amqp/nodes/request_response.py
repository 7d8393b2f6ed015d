"""Requests on one link, answers on another (OASIS AMQP Management, sections 3.1 and 3.2)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from host_tools.hub.amqp import message, performatives
from host_tools.hub.amqp.link import LinkError, Outgoing
from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.types import Described, Int

# Answers that wait for credit: who does not want them is not answered any more.
_WAITING_MAX: Final = 64

Answer = Callable[[Message], Awaitable[Message]]


def response(status: int, description: str, value: object = None) -> Message:
    """An answer; clients insist on a 32-bit status."""
    return Message(value=value, application={"status-code": Int(status), "status-description": description})


class RequestResponse:
    """A node of requests and answers on one connection. message_bytes_max: of a request."""

    def __init__(self, answer: Answer, message_bytes_max: int) -> None:
        self.message_bytes_max = message_bytes_max
        self._answer = answer
        self._answers: list[_Answers] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def inbox(self) -> _Requests:
        """Where a link puts requests."""
        return _Requests(self, self.message_bytes_max)

    def outbox(self, address: str, ready: Callable[[], None]) -> _Answers:
        """Where a link gets answers; address: what requests say in reply-to."""
        answers = _Answers(self, address, ready)
        self._answers.append(answers)
        return answers

    def close(self) -> None:
        """Nobody waits any more."""
        for task in self._tasks:
            task.cancel()

    def take(self, data: bytes, settle: Callable[[Described], None]) -> None:
        """Answer a request; LinkError if there are too many."""
        request = message.parse(data)
        if len(self._tasks) + sum(len(answers.waiting) for answers in self._answers) >= _WAITING_MAX:
            raise LinkError("amqp:resource-limit-exceeded", f"{_WAITING_MAX} answers wait to be taken")
        task = asyncio.get_running_loop().create_task(self._reply(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        settle(performatives.ACCEPTED)

    def forget(self, answers: _Answers) -> None:
        """A link for answers is gone."""
        if answers in self._answers:
            self._answers.remove(answers)

    async def _reply(self, request: Message) -> None:
        answer = await self._answer(request)
        properties = request.properties
        answer.properties["correlation-id"] = properties.get("message-id", properties.get("correlation-id"))
        reply_to = properties.get("reply-to")
        named = [answers for answers in self._answers if reply_to and answers.address == reply_to]
        for answers in (named or self._answers)[-1:]:
            answers.waiting.append(answer.as_bytes())
            answers.ready()


class _Requests:
    def __init__(self, node: RequestResponse, message_bytes_max: int) -> None:
        self.message_bytes_max = message_bytes_max
        self._node = node

    def take(self, data: bytes, settle: Callable[[Described], None]) -> None:
        self._node.take(data, settle)

    def close(self) -> None:
        """Nothing is kept here."""


class _Answers:
    def __init__(self, node: RequestResponse, address: str, ready: Callable[[], None]) -> None:
        self.address = address
        self.ready = ready
        self.waiting: deque[bytes] = deque()
        self._node = node

    def next(self) -> Outgoing | None:
        return Outgoing(self.waiting.popleft()) if self.waiting else None

    def close(self) -> None:
        self._node.forget(self)
