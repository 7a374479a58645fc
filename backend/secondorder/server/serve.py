"""A server from its first line to its last: the worker first, since it takes longest, then everything else."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from secondorder.server.settings import Settings
from secondorder.server.wire import WorkerProcess

if TYPE_CHECKING:
    from secondorder.server.store import Store

LEAVING = 3  # seconds that answers under way have when the server is told to end


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # asyncio sets this only on sockets that name their protocol; without it a stream's second frame waits 40 ms for the
    # acknowledgement of its first. What is accepted inherits it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it: a peer that has stopped taking bytes is cut off after a minute.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
    return listener


def address(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    host = str({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(settings: Settings, listener: socket.socket, store: "Store | None", ready: Callable[[], None]) -> None:
    """Serves until a signal says so; calls ``ready`` when the first request can come."""
    worker = await WorkerProcess.spawn(settings.cache, settings.growth)
    try:
        # Imported while the worker starts on another core.
        import uvicorn

        from secondorder.server.api import create_app
        from secondorder.server.guard import abortable

        app = create_app(settings, store, worker)

        class Server(uvicorn.Server):
            """Ends the streams before it waits for them."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready()

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                app.state.broker.close()
                await super().shutdown(sockets)

            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                # A second Ctrl-C, or a SIGTERM after it, means now.
                self.force_exit = self.should_exit or self.force_exit
                self.should_exit = True
                if sig != signal.SIGINT:
                    self._captured_signals.append(sig)

        config = uvicorn.Config(
            abortable(app),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=LEAVING,
            server_header=False,
        )
        await Server(config).serve([listener])
    finally:
        worker.kill()


def run(settings: Settings, listener: socket.socket, store: "Store | None", ready: Callable[[], None]) -> None:
    """`serve` in an event loop of its own."""
    asyncio.run(serve(settings, listener, store, ready))
