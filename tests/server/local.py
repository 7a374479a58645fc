"""An application asked without a server around it, for what needs no worker."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx
from fastapi import FastAPI


class Local:
    """Sends each request to the application in an event loop of its own."""

    def __init__(self, app: FastAPI):
        self.app = app

    def request(self, method: str, path: str, **how: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, path, **how)

        return asyncio.run(ask())

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.request("GET", path, **how)

    def head(self, path: str) -> httpx.Response:
        return self.request("HEAD", path)

    def post(self, path: str, content: bytes | Iterable[bytes]) -> httpx.Response:
        """Posts a body, or its pieces without saying how long they are together."""

        async def pieces():
            for piece in content:
                yield piece

        return self.request("POST", path, content=content if isinstance(content, bytes) else pieces())
