"""What stands before every route: how much a body may hold, how often a client may post, what an error looks like.

An error is one JSON shape, ``{"message", "at", "allowed"}``, whatever went wrong and wherever.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

import limits
import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from secondorder.server.broker import Busy, Failed
from secondorder.server.lessons import LessonError
from secondorder.server.metrics import Metrics
from secondorder.server.settings import Settings
from secondorder.spec import SpecError

DRAINED = 64 * 2**20  # bytes of a body too large that are read and thrown away, so that its sender hears the answer
SLOW = 30.0  # seconds that a body may take to arrive
METHODS = {"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"}

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def printable(value: Any) -> Any:
    """A value with the halves of surrogate pairs, which no UTF-8 can hold, replaced in all its strings."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(printable(key)): printable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [printable(each) for each in value]
    return value


def error(
    status: int, message: str, at: str | None = None, allowed: Any = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error's answer."""
    body = orjson.dumps(printable({"message": message, "at": at, "allowed": allowed}), default=str)
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


class Guard:
    """Reads each body up to its limit before anything else sees the request, limits posts, adds security headers."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics):
        self.app, self.settings, self.metrics = app, settings, metrics
        self._rates = limits.parse_many(settings.rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                method = scope["method"] if scope["method"] in METHODS else "other"
                self.metrics.requests.labels(method, str(message["status"])).inc()
            await send(message)

        refused, body = await self._read_body(Headers(scope=scope), receive)
        if scope["method"] == "POST":
            refused = refused or self._refuse_haste(scope)
        if refused:
            await refused(scope, receive, send_with_headers)
            return

        async def receive_body() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            content, body = body, None
            return {"type": "http.request", "body": content, "more_body": False}

        await self.app(scope, receive_body, send_with_headers)

    async def _read_body(self, headers: Headers, receive: Receive) -> tuple[Response | None, bytes | None]:
        """The body, or an answer that refuses it."""
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return None, b""
        limit = self.settings.body
        too_large = error(413, "the body is too large", None, f"at most {limit} bytes", {"connection": "close"})
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit and headers.get("expect", "").lower() == "100-continue":
            return too_large, None  # its sender waits for this word before it sends anything
        chunks, size = [], 0
        try:
            async with asyncio.timeout(SLOW):
                more = True
                while more and size <= DRAINED:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    size += len(message.get("body", b""))
                    if size <= limit:
                        chunks.append(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            return error(
                408, "the body took too long to arrive", None, f"at most {SLOW:g} s", {"connection": "close"}
            ), None
        return (too_large, None) if size > limit else (None, b"".join(chunks))

    def _refuse_haste(self, scope: Scope) -> Response | None:
        client = scope["client"][0] if scope.get("client") else ""
        for rate in self._rates:
            if not self._limiter.hit(rate, client):
                wait = max(1, math.ceil(self._limiter.get_window_stats(rate, client).reset_time - time.time()))
                return error(429, "too many requests", None, f"at most {rate}", {"retry-after": str(wait)})
        return None


def abortable(app: ASGIApp) -> ASGIApp:
    """Lets an answer cut its connection off: ``scope["abort"]()``.

    Under uvicorn ``send`` is a method of the request's cycle, which knows the transport. Closing that would wait until
    a peer that reads nothing has read what is buffered for it.
    """

    async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope["abort"] = transport.abort
        await app(scope, receive, send)

    return with_abort


def install(app: FastAPI) -> None:
    """Gives every exception its answer."""

    @app.exception_handler(SpecError)
    async def refused(_: Request, raised: SpecError) -> Response:
        return error(raised.status, raised.message, raised.at, raised.allowed)

    @app.exception_handler(Failed)
    async def failed(_: Request, raised: Failed) -> Response:
        return error(raised.status, raised.message, raised.at, raised.allowed)

    @app.exception_handler(Busy)
    async def busy(_: Request, raised: Busy) -> Response:
        return error(503, str(raised), headers={"retry-after": str(raised.after)})

    @app.exception_handler(LessonError)
    async def untold(_: Request, raised: LessonError) -> Response:
        return error(500, str(raised))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, raised: RequestValidationError) -> Response:
        first = raised.errors()[0]
        return error(422, first["msg"], ".".join(str(part) for part in first["loc"]), first.get("ctx"))

    @app.exception_handler(HTTPException)
    async def http(request: Request, raised: HTTPException) -> Response:
        headers = dict(raised.headers or {})
        if raised.status_code == 404 and raised.detail == "Not Found":
            return error(404, "there is nothing here", request.url.path)
        if raised.status_code == 405:
            allowed = sorted(headers.get("Allow", "").split(", "))
            return error(405, f"{request.method} is not possible here", request.url.path, allowed, headers)
        return error(raised.status_code, str(raised.detail), headers=headers)

    @app.exception_handler(Exception)
    async def bug(_: Request, raised: Exception) -> Response:
        return error(500, f"internal error ({type(raised).__name__})", headers=HEADERS)
