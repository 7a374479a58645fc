"""A real server in a process of its own, started as a reader starts it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ADDRESS = re.compile(r"http://\S+")
PATIENCE = 60.0  # seconds in which a server must stand, whatever else the machine does


class Server:
    """A server's process, its address, and what it wrote to its log."""

    def __init__(self, *options: str, **environment: str):
        command = [sys.executable, "-m", "secondorder", "serve", "--port", "0", "--no-browser", *options]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._standing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._standing.wait(PATIENCE):
            self.process.kill()
        found = ADDRESS.search("".join(self.lines))
        if found is None:
            self.stop()
            raise RuntimeError("the server did not start:\n" + self.log)
        self.address = found.group()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if ADDRESS.search(line):
                self._standing.set()
        self._standing.set()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def worker(self) -> int:
        """The process id of the worker, the server's one child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def wait_until_ready(self) -> None:
        """Waits until the worker has opened its device."""
        began = time.monotonic()
        while httpx.get(f"{self.address}/healthz").json()["worker"] != "ready":
            if time.monotonic() - began > PATIENCE:
                raise RuntimeError("the worker did not start:\n" + self.log)
            time.sleep(0.05)

    def stop(self, sent: int = signal.SIGTERM) -> int:
        """Sends a signal, and gives the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


def cache() -> str:
    """Where the tests' servers keep compiled programs: one place for all, kept between runs of the tests."""
    return os.environ.get("SECONDORDER_CACHE") or str(Path(tempfile.gettempdir()) / "secondorder-tests")


@contextmanager
def server(*options: str, **environment: str) -> Iterator[Server]:
    """A server with these options and environment variables, stopped at the end."""
    started = Server(*options, **{"SECONDORDER_CACHE": cache(), **environment})
    try:
        yield started
    finally:
        started.stop()


@contextmanager
def running_server(*options: str, **environment: str) -> Iterator[str]:
    """The address of a server of its own, without a slash at its end."""
    with server(*options, **environment) as started:
        yield started.address
