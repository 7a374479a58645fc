"""Streams: resumed without a gap, one execution for all, dropped where nobody reads, ended with the server."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from tests.server.events import STREAM, Frame, frames, ids, long, numbered, read, run, short, under_way
from tests.serving import Server, server

HASTY = {"SECONDORDER_GRACE": "0.5", "SECONDORDER_PATIENCE": "0.5", "SECONDORDER_QUEUE": "2", "SECONDORDER_WARM": "0"}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server with little patience and a short queue."""
    with server(**HASTY) as started:
        yield started


@pytest.fixture
def impatient(hasty: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hasty.address, timeout=60) as client:
        while client.get("/healthz").json()["unfinished"]:
            time.sleep(0.05)  # the runs of the test before have their time of grace
        yield client


def figure(client: httpx.Client, name: str) -> float:
    """A figure of /metrics; 0 where it has not been counted yet."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def wait_for_state(client: httpx.Client, id: str, state: str) -> None:
    for _ in range(600):
        if client.get(f"/api/runs/{id}").json()["state"] == state:
            return
        time.sleep(0.05)
    pytest.fail(f"the run never was {state}: {client.get(f'/api/runs/{id}').json()}")


def resumed(client: httpx.Client, id: str, **how: Any) -> list[Frame]:
    with client.stream("GET", f"/api/runs/{id}/events", **how) as response:
        return read(response)


class TestFrames:
    def test_ids_have_no_gap(self, client):
        told = run(client, long(steps=300))
        assert ids(told) == list(range(len(ids(told))))

    def test_order(self, client):
        kinds = [frame.kind for frame in run(client, short())]
        assert (kinds[0], kinds[-1]) == ("run", "end")
        assert set(kinds[1:-1]) <= {"chunk", "probe", "clock"}

    def test_clocks_have_no_id(self, client):
        told = run(client, short())
        assert {frame.kind for frame in told if frame.id is None} == {"clock"}

    def test_rows_follow_each_other(self, client):
        ends = dict.fromkeys(range(2), 0)
        for frame in run(client, short(steps=3000)):
            if frame.kind == "chunk":
                assert frame.data["first"] == ends[frame.data["lane"]]
                ends[frame.data["lane"]] += len(frame.data["columns"]["loss"])
        assert set(ends.values()) == {3001}

    def test_begins_with_the_time_to_wait_before_a_new_attempt(self, client):
        with client.stream("POST", "/api/runs", json=short(), headers=STREAM) as response:
            assert response.read().startswith(b"retry: ")


class TestResume:
    @pytest.mark.parametrize("how", ["header", "query"])
    def test_of_a_finished_run(self, client, how):
        told = run(client, long(steps=200))
        where = {"headers": {"last-event-id": "4"}} if how == "header" else {"params": {"after": "4"}}
        rest = resumed(client, told[0].data["id"], **where)
        assert numbered(rest) == numbered([frame for frame in told if frame.id is None or frame.id > 4])

    def test_at_every_cut_nothing_is_lost_or_doubled(self, client):
        spec = long(steps=500)
        parts: list[Frame] = []
        with client.stream("POST", "/api/runs", json=spec, headers=STREAM) as response:
            parts += cut(frames(response.iter_raw()), 5)
        id = parts[0].data["id"]
        while parts[-1].kind != "end":
            last = max(frame.id for frame in parts if frame.id is not None)
            headers = {"last-event-id": str(last)}
            with client.stream("GET", f"/api/runs/{id}/events", headers=headers) as response:
                parts += cut(frames(response.iter_raw()), 7)
        assert numbered(parts) == numbered(resumed(client, id))

    def test_with_the_post(self, client):
        spec = short(steps=50)
        told = run(client, spec)
        rest = run(client, spec, **{"last-event-id": "1"})
        assert numbered(rest) == numbered([frame for frame in told if frame.id != 0 and frame.id != 1])

    def test_the_header_counts_before_the_query(self, client):
        id = run(client, short(steps=50))[0].data["id"]
        rest = resumed(client, id, headers={"last-event-id": "2"}, params={"after": "0"})
        assert next(frame.id for frame in rest if frame.id is not None) == 3

    def test_who_has_everything_is_told_to_stop(self, client):
        told = run(client, short())
        url = f"/api/runs/{told[0].data['id']}/events"
        assert client.get(url, headers={"last-event-id": str(told[-1].id)}).status_code == 204

    @pytest.mark.parametrize("value", ["-1", "1.5", "x", "1e3", "٣", "9" * 20, "0x1", " "])
    def test_malformed(self, client, value):
        id = run(client, short())[0].data["id"]
        answer = client.get(f"/api/runs/{id}/events", params={"after": value})
        assert (answer.status_code, answer.json()["at"]) == (400, "after")

    def test_malformed_header(self, client):
        id = run(client, short())[0].data["id"]
        answer = client.get(f"/api/runs/{id}/events", headers={"last-event-id": "eleven"})
        assert (answer.status_code, answer.json()["at"]) == (400, "Last-Event-ID")

    def test_of_an_unknown_run(self, client):
        assert client.get("/api/runs/nothing/events").status_code == 404


def cut(coming: Iterator[Frame], count: int) -> list[Frame]:
    """Up to so many frames, as a viewer sees them whose connection then breaks."""
    return [frame for _, frame in zip(range(count), coming, strict=False)]


def test_finished_stream_may_be_cached(client):
    id = run(client, short())[0].data["id"]
    with client.stream("GET", f"/api/runs/{id}/events") as response:
        assert "immutable" in response.headers["cache-control"]


def test_twenty_who_ask_are_one_execution(client):
    spec = long(steps=600)
    before = figure(client, "secondorder_runs_total")
    with ThreadPoolExecutor(20) as viewers:
        told = list(viewers.map(lambda _: run(client, spec), range(20)))
    assert len({numbered(each) for each in told}) == 1
    assert figure(client, "secondorder_runs_total") == before + 1


def test_answers_are_the_same_bytes_in_another_process(client, impatient):
    spec = long(steps=200, probes=[])
    assert numbered(run(client, spec)) == numbered(run(impatient, spec))


class TestGrace:
    def test_unwatched_run_ends(self, impatient):
        with under_way(impatient, long(steps=20000)) as (id, _):
            pass
        wait_for_state(impatient, id, "cancelled")

    def test_viewer_who_comes_back_finds_it(self, impatient):
        with under_way(impatient, long(steps=1500)) as (id, _):
            pass
        assert resumed(impatient, id)[-1].data["lanes"][0]["status"] == "budget"

    def test_other_viewer_keeps_it(self, impatient):
        spec = long(steps=2500)
        with under_way(impatient, spec, events=1) as (id, coming):
            with impatient.stream("GET", f"/api/runs/{id}/events"):
                pass
            time.sleep(0.7)
            assert list(coming)[-1].data["lanes"][0]["status"] == "budget"


class TestQueue:
    def test_full(self, impatient):
        with under_way(impatient, long()), under_way(impatient, long(), events=1):
            answer = impatient.post("/api/runs", json=short())
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["message"]

    def test_run_without_viewers_gives_way(self, impatient):
        with under_way(impatient, long()) as (first, _):
            with under_way(impatient, long(), events=1) as (second, _):
                pass
            while impatient.post("/api/runs", json=short()).status_code not in (200, 201):
                time.sleep(0.05)  # until it is noticed that the second viewer left; 429 is no answer either
            assert impatient.get(f"/api/runs/{second}").json()["state"] == "cancelled"
            assert impatient.get(f"/api/runs/{first}").json()["state"] == "running"


# An answer in 101 stages of some tenths of a second.
DEAR = {
    "problem": {"name": "regression-network", "size": 10_000},
    "at": [0.01] * 321,
    "probe": {"name": "spectrum", "method": "lanczos", "probes": 100},
}


def test_an_answer_that_nobody_waits_for_is_given_up(impatient):
    plain = {"problem": {"name": "rosenbrock"}, "at": [0.5, 0.5], "probe": {"name": "quadratic-model"}}
    with (
        impatient.stream("POST", "/api/probes", json=DEAR, headers=STREAM) as one,
        impatient.stream("POST", "/api/probes", json=DEAR | {"seed": 1}, headers=STREAM) as two,
    ):
        coming = [frames(response.iter_raw()) for response in (one, two)]
        assert [next(each).data["data"]["done"] for each in coming] == [1, 1]
        assert impatient.post("/api/probes", json=plain).status_code == 503  # two are all that the queue holds
    while impatient.post("/api/probes", json=plain).status_code == 503:
        time.sleep(0.05)


def open_and_do_not_read(address: str, spec: dict[str, Any]) -> socket.socket:
    """A viewer with a small window that takes nothing out of it."""
    host, port = address.removeprefix("http://").split(":")
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect((host, int(port)))
    body = orjson.dumps(spec)
    head = f"POST /api/runs HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    viewer.sendall(head.encode() + body)
    return viewer


MANY_BYTES = {"optimizers": [{"name": "gradient-descent", "rate": [1e-5 * k for k in range(1, 33)]}], "steps": 2000}


def test_viewer_who_does_not_read_is_dropped(impatient, hasty):
    spec = short(**MANY_BYTES)
    before = figure(impatient, "secondorder_viewers_dropped_total")
    with open_and_do_not_read(hasty.address, spec) as viewer:
        told = run(impatient, spec)
        while figure(impatient, "secondorder_viewers_dropped_total") == before:
            time.sleep(0.05)
        viewer.settimeout(20)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := viewer.recv(2**20):
                received += len(piece)
    assert received < sum(len(frame.raw) for frame in told) / 2
    assert told[-1].kind == "end"
    assert "Traceback" not in hasty.log


def test_silent_stream_says_that_it_is_alive():
    with (
        server(SECONDORDER_HEARTBEAT="0.2", SECONDORDER_WARM="0") as quiet,
        httpx.Client(base_url=quiet.address, timeout=60) as client,
    ):
        quiet.wait_until_ready()
        worker = quiet.worker
        os.kill(worker, signal.SIGSTOP)
        with client.stream("POST", "/api/runs", json=short(), headers=STREAM) as response:
            heard = response.iter_raw()
            assert next(heard).startswith(b"retry")
            assert next(heard).startswith(b":")
        os.kill(worker, signal.SIGCONT)


def test_sigterm_ends_the_server_though_streams_are_open():
    with server(SECONDORDER_WARM="0") as ending, httpx.Client(base_url=ending.address, timeout=60) as client:
        with (
            open_and_do_not_read(ending.address, short(**MANY_BYTES)),
            under_way(client, long(steps=50000)) as (_, coming),
        ):
            worker = ending.worker
            ending.process.send_signal(signal.SIGTERM)
            try:
                ending.process.wait(5)
            except subprocess.TimeoutExpired:
                pytest.fail("still there after 5 s")
            assert "end" not in {frame.kind for frame in coming}
        assert "Traceback" not in ending.log
        for _ in range(100):
            if not is_alive(worker):
                return
            time.sleep(0.02)
        pytest.fail("the worker outlived the server")


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
