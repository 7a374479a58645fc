"""Where runs are kept: a log of frames for each, the recent ones in memory, the finished ones on disk where asked for.

A finished run never changes and its id names its content, so a store needs no more than get and put: another one
(Redis) is one more class with the methods of `Store`.
"""

import asyncio
import sqlite3
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from secondorder.spec import RunSpec, parse

Answer = TypeVar("Answer")
State = Literal["queued", "running", "finished", "cancelled", "failed"]
ENDED: tuple[State, ...] = ("finished", "cancelled", "failed")
END_OF_FRAME = b"\n\n"


class Log:
    """The frames of a run in order, each encoded once; append only.

    Frame k of the events with an id (0, 1, 2, …) stands at ``frames[positions[k]]``; clocks stand between them.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.positions: list[int] = []
        self.size = 0
        self.last_steps: dict[int, int] = {}  # the last step told of each lane

    def append(self, frame: bytes, has_id: bool) -> None:
        if has_id:
            self.positions.append(len(self.frames))
        self.frames.append(frame)
        self.size += len(frame)

    @classmethod
    def decode(cls, content: bytes) -> "Log":
        """A log from its frames joined."""
        log = cls()
        for body in content.split(END_OF_FRAME)[:-1]:
            log.append(body + END_OF_FRAME, body.startswith(b"id: "))
        return log


class Run:
    """A run as the server knows it: its canonical spec (JSON), how far it is, its log, and who waits for more of it."""

    def __init__(self, id: str, spec: bytes, state: State = "queued", log: Log | None = None):
        self.id, self.spec, self.state = id, spec, state
        self.log = log or Log()
        self.waiting: set[asyncio.Event] = set()

    @cached_property
    def read(self) -> RunSpec:
        """The spec as an object."""
        return parse(self.spec)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def size(self) -> int:
        return self.log.size + len(self.spec)

    def append(self, frame: bytes, has_id: bool) -> None:
        self.log.append(frame, has_id)
        self.wake()

    def wake(self) -> None:
        """Tells everybody who waits that there is something to see."""
        for event in self.waiting:
            event.set()


class Recent:
    """Ended runs up to a number of bytes; the least recently used goes first."""

    def __init__(self, limit: int):
        self.limit, self.size = limit, 0
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def put(self, run: Run) -> None:
        self.drop(run.id)
        self._runs[run.id] = run
        self.size += run.size
        while self.size > self.limit:
            self.drop(next(iter(self._runs)))

    def get(self, id: str) -> Run | None:
        if id in self._runs:
            self._runs.move_to_end(id)
        return self._runs.get(id)

    def drop(self, id: str) -> None:
        run = self._runs.pop(id, None)
        self.size -= run.size if run else 0


class Store(Protocol):
    """What outlives the process: finished runs, by id."""

    async def get(self, id: str) -> Run | None: ...

    async def put(self, id: str, spec: bytes, frames: list[bytes]) -> None:
        """Keeps a finished run; when this returns, it is kept even if the process is killed."""
        ...

    async def close(self) -> None: ...


class StoreError(Exception):
    """A store that cannot be opened: one line that says why."""


SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, spec BLOB NOT NULL, frames BLOB NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_use ON runs (used, size);
"""


class SQLite:
    """Finished runs in an SQLite file, up to a number of bytes; the least recently used goes first.

    One thread holds the connection, so that no query ever holds up the event loop. The write-ahead log keeps what was
    committed through the death of the process.
    """

    def __init__(self, path: Path, limit: int):
        self.limit = limit
        self._thread = ThreadPoolExecutor(1, "sqlite")
        try:
            self._thread.submit(self._open, path).result()
        except sqlite3.Error as error:
            self._thread.shutdown()
            raise StoreError(f"cannot keep runs in {path}: {error}") from None

    def _open(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(SCHEMA)
            self._size = self._database.execute("SELECT coalesce(sum(size), 0) FROM runs").fetchone()[0]
        except sqlite3.Error:
            self._database.close()
            raise

    async def _in_thread(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def get(self, id: str) -> Run | None:
        return await self._in_thread(self._get, id)

    def _get(self, id: str) -> Run | None:
        row = self._database.execute("SELECT spec, frames FROM runs WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        self._database.execute("UPDATE runs SET used = ? WHERE id = ?", (time.time(), id))
        return Run(id, row[0], "finished", Log.decode(zlib.decompress(row[1])))

    async def put(self, id: str, spec: bytes, frames: list[bytes]) -> None:
        await self._in_thread(self._put, id, spec, frames)

    def _put(self, id: str, spec: bytes, frames: list[bytes]) -> None:
        content = zlib.compress(b"".join(frames), 1)
        size = len(content) + len(spec)
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            self._delete(id)
            database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", (id, spec, content, size, time.time()))
            self._size += size
            while self._size > self.limit:
                self._delete(database.execute("SELECT id FROM runs ORDER BY used LIMIT 1").fetchone()[0])
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            self._size = database.execute("SELECT coalesce(sum(size), 0) FROM runs").fetchone()[0]
            raise

    def _delete(self, id: str) -> None:
        removed = self._database.execute("DELETE FROM runs WHERE id = ? RETURNING size", (id,)).fetchall()
        self._size -= sum(size for (size,) in removed)

    async def close(self) -> None:
        await self._in_thread(self._database.close)
        self._thread.shutdown()


def open_store(where: str, limit: int) -> Store | None:
    """The store that ``--store`` names: None for memory alone."""
    if where == "memory":
        return None
    if "://" in where:
        raise StoreError(f"this version keeps runs in memory or in a file: --store memory|PATH, not {where}")
    return SQLite(Path(where), limit)
