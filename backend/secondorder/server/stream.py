"""A run's log, or the stages of an answer, as server-sent events.

FastAPI's own SSE, and a task for every heartbeat, collapse when hundreds of viewers come back at once; here a viewer is
a place in the log and one timer.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from secondorder.server.broker import Answer, Broker, Busy, Failed
from secondorder.server.files import IMMUTABLE
from secondorder.server.guard import error
from secondorder.server.store import Run

RETRY = b"retry: 1000\n\n"
ALIVE = b": alive\n\n"
FAREWELL = 0.5  # seconds that a viewer has to take its last bytes when the server ends
DROPPED = object()
WHOLE = re.compile(r"[0-9]{1,9}")


class BadResume(Exception):
    """A place to resume at that is no event's id."""

    def __init__(self, at: str):
        self.at = at


def resume_point(request: Request) -> int:
    """The id of the last event that the client has (-1: none): a returning browser's header, or ``?after=``."""
    for at, value in (
        ("Last-Event-ID", request.headers.get("last-event-id")),
        ("after", request.query_params.get("after")),
    ):
        if value:
            if not WHOLE.fullmatch(value):
                raise BadResume(at)
            return int(value)
    return -1


def refuse(raised: BadResume) -> Response:
    return error(400, "not an event's id", raised.at, "a whole number of at most nine digits")


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Stream(Response):
    """Streams events to one client for as long as it stays and reads."""

    media_type = "text/event-stream"

    def __init__(self, broker: Broker, status: int = 200, cache: str = "no-store"):
        headers = {
            "cache-control": cache,
            "vary": "last-event-id",
            "x-accel-buffering": "no",  # nginx would collect it
        }
        super().__init__(None, status, headers)
        del self.headers["content-length"]
        self.broker = broker

    async def stream(self, pieces: AsyncGenerator[bytes, None], scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the pieces as they come, until they end or the client or the server does."""
        sending = asyncio.ensure_future(self._send_all(pieces, send))
        leaving = asyncio.ensure_future(disconnected(receive))
        closing = asyncio.ensure_future(self.broker.closed.wait())
        try:
            await asyncio.wait({sending, leaving, closing}, return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                await asyncio.wait({sending}, timeout=FAREWELL)
            if not (sending.done() or leaving.done()) or (sending.done() and sending.result() is DROPPED):
                await cut_off(scope)
        finally:
            for task in (sending, leaving, closing):
                task.cancel()
            await asyncio.gather(sending, leaving, closing, return_exceptions=True)

    async def _send_all(self, pieces: AsyncGenerator[bytes, None], send: Send) -> object:
        async def send_in_time(message: dict) -> None:
            async with asyncio.timeout(self.broker.settings.patience):
                await send(message)

        try:
            await send_in_time({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send_in_time({"type": "http.response.body", "body": RETRY, "more_body": True})
            async for piece in pieces:
                await send_in_time({"type": "http.response.body", "body": piece or ALIVE, "more_body": True})
            await send_in_time({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:  # it has read nothing for so long: it may come back and resume
            self.broker.metrics.dropped.inc()
            return DROPPED
        finally:
            await pieces.aclose()
        return None


class EventStream(Stream):
    """A run, from behind event ``after`` on."""

    def __init__(self, broker: Broker, run: Run, after: int, status: int = 200, cacheable: bool = False):
        super().__init__(broker, status, IMMUTABLE if cacheable and run.state == "finished" else "no-store")
        self.headers["location"] = f"/api/runs/{run.id}"  # known long before an event where a program is compiled first
        self.run, self.after = run, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.broker.watching(self.run) as changed:
            await self.stream(self.broker.follow(self.run, self.after, changed), scope, receive, send)


class AnswerStream(Stream):
    """The answers to a question as events ``probe``, each better than the one before, and an ``end``."""

    def __init__(self, broker: Broker, first: Answer, others: AsyncGenerator[Answer, None]):
        super().__init__(broker)
        self.first, self.others = first, others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream(self._events(), scope, receive, send)

    async def _events(self) -> AsyncGenerator[bytes, None]:
        end: dict[str, Any] = {"status": "finished", "reason": None}
        async with contextlib.aclosing(self.others) as others:
            yield _event("probe", self.first.body)
            try:
                async for answer in others:
                    yield _event("probe", answer.body)
            except (Busy, Failed) as raised:
                end = {"status": "failed", "reason": str(raised)}
        yield _event("end", orjson.dumps(end))


def _event(kind: str, data: bytes) -> bytes:
    return b"".join((b"event: ", kind.encode(), b"\ndata: ", data, b"\n\n"))


async def cut_off(scope: Scope) -> None:
    """Closes a connection whose peer does not read, whatever is still buffered for it."""
    scope.get("abort", lambda: None)()
    for _ in range(2):  # the rounds of the event loop in which uvicorn hears of it
        await asyncio.sleep(0)
