"""What is kept: so many bytes and no more, the least recently used dropped first; on disk beyond the process's end."""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from secondorder.server.store import Log, Recent, Run, SQLite, StoreError, open_store
from tests.server.events import numbered, read, run, short
from tests.serving import server

FRAMES = [
    b'id: 0\nevent: run\ndata: {"id":"a"}\n\n',
    b"event: clock\ndata: {}\n\n",
    b'id: 1\nevent: end\ndata: {"lanes":[]}\n\n',
]


def kept(id: str, size: int) -> Run:
    found = Run(id, b"", "finished")
    found.log.append(b"x" * size, has_id=True)
    return found


class TestLog:
    def test_positions_skip_what_has_no_id(self):
        assert Log.decode(b"".join(FRAMES)).positions == [0, 2]

    def test_comes_back_as_it_was(self):
        log = Log.decode(b"".join(FRAMES))
        assert (log.frames, log.size) == (FRAMES, sum(map(len, FRAMES)))


class TestRecent:
    def test_least_recently_used_goes_first(self):
        recent = Recent(100)
        for id in "abc":
            recent.put(kept(id, 30))
        recent.get("a")
        recent.put(kept("d", 30))
        assert [id for id in "abcd" if recent.get(id)] == ["a", "c", "d"]
        assert recent.size == 90

    def test_same_run_again_counts_once(self):
        recent = Recent(100)
        recent.put(kept("a", 60))
        recent.put(kept("a", 70))
        assert (len(recent), recent.size) == (1, 70)

    def test_larger_than_everything(self):
        recent = Recent(100)
        recent.put(kept("a", 101))
        assert (len(recent), recent.size) == (0, 0)


class TestSQLite:
    def test_comes_back(self, tmp_path):
        async def work():
            store = SQLite(tmp_path / "runs", 10**6)
            await store.put("a", b"{}", FRAMES)
            await store.close()
            store = SQLite(tmp_path / "runs", 10**6)
            found = await store.get("a")
            await store.close()
            return found

        found = asyncio.run(work())
        assert found is not None
        assert (found.spec, found.state, found.log.frames) == (b"{}", "finished", FRAMES)

    def test_unknown(self, tmp_path):
        async def work():
            store = SQLite(tmp_path / "runs", 10**6)
            found = await store.get("a")
            await store.close()
            return found

        assert asyncio.run(work()) is None

    def test_least_recently_used_goes_first(self, tmp_path):
        async def work():
            store = SQLite(tmp_path / "runs", 1000)
            for id in "abc":
                await store.put(id, b"x" * 300, [])
            await store.get("a")
            await store.put("d", b"x" * 300, [])
            found = [id for id in "abcd" if await store.get(id)]
            await store.close()
            return found

        assert asyncio.run(work()) == ["a", "c", "d"]

    def test_file_stays_bounded(self, tmp_path):
        async def work():
            store = SQLite(tmp_path / "runs", 100_000)
            for k in range(300):
                await store.put(str(k), bytes(range(256)) * 20, [])
            await store.close()

        asyncio.run(work())
        assert (tmp_path / "runs").stat().st_size < 400_000

    def test_what_is_no_database(self, tmp_path):
        (tmp_path / "runs").write_bytes(b"something else" * 100)
        with pytest.raises(StoreError, match="runs"):
            SQLite(tmp_path / "runs", 10**6)


@pytest.mark.parametrize("where", ["redis://localhost", "postgres://x"])
def test_stores_that_there_are_not_yet(where):
    with pytest.raises(StoreError, match="memory"):
        open_store(where, 1)


def test_killed_server_has_lost_no_finished_run(tmp_path: Path):
    specs = [short(steps=200) for _ in range(5)]
    where = str(tmp_path / "runs.sqlite")
    with (
        server("--store", where, SECONDORDER_WARM="0") as first,
        httpx.Client(base_url=first.address, timeout=60) as client,
    ):
        told = [run(client, spec) for spec in specs]
        first.stop(signal.SIGKILL)
    with (
        server("--store", where, SECONDORDER_WARM="0") as second,
        httpx.Client(base_url=second.address, timeout=60) as client,
    ):
        for spec, before in zip(specs, told, strict=True):
            with client.stream("GET", f"/api/runs/{before[0].data['id']}/events") as response:
                assert numbered(read(response)) == numbered(before)
            assert client.post("/api/runs", json=spec).status_code == 200
        step = {"run": told[0][0].data["id"], "lane": 1, "step": 7, "probe": {"name": "quadratic-model"}}
        assert client.post("/api/probes", json=step).status_code == 200
        assert 'secondorder_runs_total{state="finished"}' not in client.get("/metrics").text
    with sqlite3.connect(where) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (5,)
    database.close()


LIMIT = 400_000


@pytest.fixture(scope="module")
def small() -> Iterator[httpx.Client]:
    """A server that keeps little."""
    with (
        server(SECONDORDER_MEMORY=str(LIMIT), SECONDORDER_WARM="0") as started,
        httpx.Client(base_url=started.address, timeout=60) as client,
    ):
        yield client


def test_hour_of_slider_moves_grows_nothing(small):
    specs = [short(optimizers=[{"name": "gradient-descent", "rate": 1e-4 + k * 1e-6}]) for k in range(150)]
    ids = [run(small, spec)[0].data["id"] for spec in specs]
    figures = dict(line.rsplit(" ", 1) for line in small.get("/metrics").text.splitlines() if line[0] != "#")
    assert 0 < float(figures["secondorder_kept_bytes"]) <= LIMIT
    assert small.get(f"/api/runs/{ids[0]}").status_code == 404
    assert small.get(f"/api/runs/{ids[-1]}").status_code == 200


def test_run_too_large_fails_and_says_so(small):
    lane = run(small, short(steps=20_000))[-1].data["lanes"][0]
    assert lane["status"] == "failed"
    assert f"{LIMIT} bytes" in lane["reason"]
