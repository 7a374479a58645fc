"""A run's log as server-sent events.

FastAPI's own SSE, and a task for every heartbeat, collapse when hundreds of viewers come back at once; here a viewer is
a place in the log and one timer.
"""

import asyncio
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from secondorder.server.broker import Broker
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


class EventStream(Response):
    """Streams a run to one viewer, from behind event ``after`` on."""

    media_type = "text/event-stream"

    def __init__(self, broker: Broker, run: Run, after: int, status: int = 200, cacheable: bool = False):
        is_fixed = cacheable and run.state == "finished"
        headers = {
            "cache-control": IMMUTABLE if is_fixed else "no-store",
            "vary": "last-event-id",
            "x-accel-buffering": "no",  # nginx would collect it
        }
        super().__init__(None, status, headers)
        del self.headers["content-length"]
        self.broker, self.run, self.after = broker, run, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.broker.watching(self.run) as changed:
            sending = asyncio.ensure_future(self._send_all(send, changed))
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

    async def _send_all(self, send: Send, changed: asyncio.Event) -> object:
        async def send_in_time(message: dict) -> None:
            async with asyncio.timeout(self.broker.settings.patience):
                await send(message)

        try:
            await send_in_time({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send_in_time({"type": "http.response.body", "body": RETRY, "more_body": True})
            async for frames in self.broker.follow(self.run, self.after, changed):
                await send_in_time({"type": "http.response.body", "body": frames or ALIVE, "more_body": True})
            await send_in_time({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:  # it has read nothing for so long: it may come back and resume
            self.broker.metrics.dropped.inc()
            return DROPPED
        return None


async def cut_off(scope: Scope) -> None:
    """Closes a connection whose peer does not read, whatever is still buffered for it."""
    scope.get("abort", lambda: None)()
    for _ in range(2):  # the rounds of the event loop in which uvicorn hears of it
        await asyncio.sleep(0)
