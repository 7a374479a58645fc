"""What the web process and the worker say to each other, over the worker's standard input and output.

To the worker: a length, then a JSON object ``{"do": …, "job": …}``. From the worker: a header, then bytes. A pipe holds
64 KiB, and the one who reads takes from it only as fast as it stores: the one who writes waits, and nothing piles up.
"""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

LENGTH = struct.Struct("<I")
HEADER = struct.Struct("<IBQiii")
READ_AHEAD = 2**20


class Kind(IntEnum):
    HELLO = 0  # the device is open
    TURN = 1  # the worker now works on this job
    FRAME = 2  # an event of a run, encoded
    END = 3  # its last event
    DONE = 4  # the worker has let go of a cancelled job
    ANSWER = 5  # the answer to a question
    ERROR = 6  # the job raised: JSON {"message", "at", "allowed", "status"}
    PART = 7  # the answer to a question as far as it is known; more follows


class Message(NamedTuple):
    """``id`` numbers a run's events (-1: a clock), ``lane`` and ``step`` tell a chunk's last row (-1: no chunk)."""

    kind: Kind
    job: int
    payload: bytes = b""
    id: int = -1
    lane: int = -1
    step: int = -1

    def encode(self) -> bytes:
        return HEADER.pack(len(self.payload), self.kind, self.job, self.id, self.lane, self.step) + self.payload


def command(**fields: Any) -> bytes:
    """A command to the worker, as it goes over the pipe."""
    body = orjson.dumps(fields)
    return LENGTH.pack(len(body)) + body


def read_command(pipe: BinaryIO) -> dict[str, Any] | None:
    """The next command, or None where the other end is gone."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = pipe.read(LENGTH.unpack(head)[0])
    return orjson.loads(body) if body else None


class WorkerProcess:
    """The worker as the web process holds it."""

    def __init__(self, process: asyncio.subprocess.Process):
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self._stdin, self._stdout = process, process.stdin, process.stdout

    @classmethod
    async def spawn(cls, cache: Path, growth: int) -> "WorkerProcess":
        # Two BLAS threads cost 4x at the median under load; JAX's own pool is not touched by these.
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "secondorder.server.worker", str(cache), str(growth)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **threads},
            limit=READ_AHEAD,
            # Away from the terminal's group: Ctrl-C is for the web process, which ends the worker.
            process_group=0,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, **fields: Any) -> None:
        """Sends a command; to a worker that is gone it is lost (its end is noticed where it is read)."""
        if not self._stdin.is_closing():
            self._stdin.write(command(**fields))

    async def messages(self) -> AsyncIterator[Message]:
        """What the worker says, until it is gone."""
        try:
            while True:
                size, kind, job, number, lane, step = HEADER.unpack(await self._stdout.readexactly(HEADER.size))
                payload = await self._stdout.readexactly(size) if size else b""
                yield Message(Kind(kind), job, payload, number, lane, step)
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()

    async def gone(self) -> int:
        """Waits for the end of a process that says no more, and gives its exit status."""
        self._stdin.close()
        try:
            async with asyncio.timeout(1):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()
