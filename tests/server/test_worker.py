"""The worker may die, hang or never start: streams go on, and nothing is lost or doubled."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import pytest

from tests.server.events import STREAM, frames, long, numbered, read, run, short, under_way
from tests.serving import Server, server

STAGED = {
    "problem": {"name": "regression-network", "size": 10_000},
    "at": [0.01] * 321,
    "probe": {"name": "spectrum", "method": "lanczos", "probes": 20},
}
PROBE = {"problem": {"name": "rosenbrock"}, "at": [0.5, 0.5], "probe": {"name": "quadratic-model"}}


@pytest.fixture(scope="module")
def victim() -> Iterator[Server]:
    """A server whose worker the tests kill."""
    with server(SECONDORDER_WARM="0", SECONDORDER_CANCELLING="0.2", SECONDORDER_LEAVING="1.5") as started:
        started.wait_until_ready()
        yield started


@pytest.fixture
def client(victim: Server) -> Iterator[httpx.Client]:
    victim.wait_until_ready()
    with httpx.Client(base_url=victim.address, timeout=60) as client:
        yield client


@contextmanager
def stopped(victim: Server) -> Iterator[int]:
    """The worker does nothing for a while, as if it compiled."""
    worker = victim.worker
    os.kill(worker, signal.SIGSTOP)
    yield worker
    os.kill(worker, signal.SIGCONT)


def kill(victim: Server) -> None:
    os.kill(victim.worker, signal.SIGKILL)


class TestKilled:
    def test_streams_go_on_with_the_bytes_of_an_undisturbed_run(self, client, victim, site):
        spec = long(steps=2500)
        with httpx.Client(base_url=site.address, timeout=60) as elsewhere:
            undisturbed = run(elsewhere, spec)
        with under_way(client, spec, events=1) as (id, one), ThreadPoolExecutor(1) as other:
            url = f"{victim.address}/api/runs/{id}/events"
            seen = [next(one) for _ in range(40)]
            with httpx.stream("GET", url, headers={"last-event-id": "7"}, timeout=60) as response:
                two = other.submit(lambda: list(frames(response.iter_raw())))
                kill(victim)
                seen += list(one)
                late = two.result()
        first = undisturbed[0].raw
        assert first + numbered(seen) == numbered(undisturbed)
        behind = [frame for frame in undisturbed if frame.id is not None and frame.id > 7]
        assert numbered(late) == numbered(behind)

    def test_many_runs_at_once(self, client, victim):
        specs = [long(steps=500 + k) for k in range(3)]
        with ThreadPoolExecutor(3) as viewers:
            told = [viewers.submit(run, client, spec) for spec in specs]
            time.sleep(0.3)
            kill(victim)
            ends = [each.result()[-1].data["lanes"][0] for each in told]
        assert [(end["status"], end["step"]) for end in ends] == [("budget", 500 + k) for k in range(3)]

    def test_question_is_asked_again(self, client, victim):
        os.kill(victim.worker, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as asker:
            answer = asker.submit(client.post, "/api/probes", json=PROBE)
            time.sleep(0.2)
            kill(victim)
            assert np.shape(answer.result().json()["data"]["hessian"]) == (2, 2)

    def test_stages_of_an_answer_go_on_where_they_were(self, client, victim):
        with client.stream("POST", "/api/probes", json=STAGED, headers=STREAM) as response:
            coming = frames(response.iter_raw())
            told = [next(coming), next(coming), next(coming)]
            kill(victim)
            told += list(coming)
        answers = [frame.data["data"] for frame in told[:-1]]
        assert [answer["done"] for answer in answers] == [1, *range(1, 21)]
        assert all(answer["nodes"] == answers[-1]["nodes"][: answer["done"]] for answer in answers)

    def test_idle_worker_is_replaced(self, client, victim):
        kill(victim)
        assert run(client, short())[-1].kind == "end"

    def test_again_and_again_of_the_same_run(self, client, victim):
        with under_way(client, long(steps=50000), events=12) as (id, coming), ThreadPoolExecutor(1) as viewer:
            rest = viewer.submit(list, coming)
            until, pause = time.monotonic() + 60, 0.1
            while not rest.done() and time.monotonic() < until:
                kill(victim)
                time.sleep(0.2)
                victim.wait_until_ready()
                # A death counts if it was at the run again by then; if the machine is slow that takes a while.
                time.sleep(pause := 1.5 * pause)
            lane = rest.result(timeout=60)[-1].data["lanes"][0]
        assert lane["status"] == "failed"
        assert "3 times" in lane["reason"]
        assert client.get(f"/api/runs/{id}").json()["state"] == "failed"


class TestStuck:
    def test_cancelled_run_that_is_not_let_go_of(self, client, victim):
        with under_way(client, long(steps=50000), events=8) as (id, coming):
            stuck = victim.worker
            os.kill(stuck, signal.SIGSTOP)
            client.delete(f"/api/runs/{id}")
            assert list(coming)[-1].data["lanes"][0]["status"] == "cancelled"
            assert run(client, short())[-1].kind == "end"
        assert victim.worker != stuck

    def test_while_it_compiles(self, client, victim):
        """Twelve layers nobody has compiled before: the run is announced, and its first step is seconds away."""
        widths = [64, *(8 + (os.getpid() >> k & 7) for k in range(0, 33, 3)), 64]
        spec = short(problem={"name": "digits-autoencoder", "widths": widths}, optimizers=[{"name": "kfac"}])
        run(client, short())
        with under_way(client, spec, events=1) as (id, coming):
            time.sleep(0.2)
            compiling = victim.worker
            client.delete(f"/api/runs/{id}")
            assert [frame.kind for frame in coming] == ["end"]
            assert victim.worker == compiling, "it is told before anything else happens"
            assert run(client, short())[-1].kind == "end"
        assert victim.worker != compiling

    def test_cancelled_before_it_was_begun(self, client, victim):
        """Its stream is a stream all the same: what the run is, and its end."""
        with stopped(victim), client.stream("POST", "/api/runs", json=short(), headers=STREAM) as response:
            client.delete(response.headers["location"])
            begin, end = read(response)
        assert (begin.id, begin.kind, begin.data["columns"], len(begin.data["lanes"])) == (0, "run", [], 2)
        assert (end.id, end.kind, end.data["lanes"][1]["status"]) == (1, "end", "cancelled")

    def test_where_nobody_else_waits(self, client, victim):
        """Then the worker may as well come to its end."""
        with under_way(client, long(steps=50000), events=8) as (id, coming), stopped(victim) as worker:
            client.delete(f"/api/runs/{id}")
            assert list(coming)[-1].data["lanes"][0]["status"] == "cancelled"
            time.sleep(0.6)
        assert run(client, short())[-1].kind == "end"
        assert victim.worker == worker

    def test_what_was_only_left_is_given_more_time(self, client, victim):
        """A reader who moves on asks for the same program again: what compiles now is what she waits for then."""
        with ThreadPoolExecutor(1) as other:
            with stopped(victim) as worker:
                with pytest.raises(httpx.ReadTimeout):
                    client.post("/api/probes", json=PROBE, timeout=0.2)
                waiting = other.submit(run, client, short())
                time.sleep(0.6)
            assert waiting.result()[-1].kind == "end"
        assert victim.worker == worker

    def test_what_others_have_computed_is_worth_waiting_for(self, client, victim):
        spec = long(steps=50000)
        with under_way(client, spec, events=5), under_way(client, long(steps=50000), events=5) as (id, _):
            time.sleep(1)
            with stopped(victim) as worker:
                client.delete(f"/api/runs/{id}")
                time.sleep(0.6)
            assert run(client, short())[-1].kind == "end"
        assert victim.worker == worker

    def test_others_go_on(self, client, victim):
        spec = long(steps=1200)
        endless = long(steps=50000)
        with under_way(client, spec, events=5) as (_, other), under_way(client, endless, events=5) as (id, _):
            os.kill(victim.worker, signal.SIGSTOP)
            client.delete(f"/api/runs/{id}")
            time.sleep(1.5)
            # The stopped worker was at either run; where it was at the other, nothing tells that it is stuck.
            with suppress(ProcessLookupError):
                os.kill(victim.worker, signal.SIGCONT)
            assert list(other)[-1].data["lanes"][0]["status"] == "budget"


def test_what_keeps_the_worker_silent_is_given_up():
    """As if it compiled for ever: the next worker does what waited behind it."""
    with (
        server(SECONDORDER_WARM="0", SECONDORDER_SILENCE="6") as impatient,
        httpx.Client(base_url=impatient.address, timeout=60) as client,
        ThreadPoolExecutor(1) as other,
    ):
        run(client, short())
        with under_way(client, long(steps=50000), events=5) as (id, coming):
            silent = impatient.worker
            os.kill(silent, signal.SIGSTOP)
            waiting = other.submit(run, client, short())
            lane = list(coming)[-1].data["lanes"][0]
            assert waiting.result()[-1].data["lanes"][0]["status"] == "budget"
        assert (lane["status"], "too long to compile" in lane["reason"]) == ("failed", True)
        assert client.get(f"/api/runs/{id}").json()["state"] == "failed"
        assert impatient.worker != silent


def test_idle_worker_that_has_grown_too_large_is_replaced():
    with (
        server(SECONDORDER_WARM="0", SECONDORDER_GROWTH="1") as small,
        httpx.Client(base_url=small.address, timeout=60) as client,
    ):
        for _ in range(3):  # the second and third are posted while the worker leaves, or just before
            assert run(client, short())[-1].data["lanes"][0]["status"] == "budget"
        while small.log.count("the worker ended with status 0") < 2:
            time.sleep(0.05)
        small.wait_until_ready()
        idle = small.worker
        time.sleep(0.5)
        assert small.worker == idle, "one that has done nothing stays"


def test_worker_that_cannot_start():
    with (
        server(JAX_PLATFORMS="none-on-this-machine") as lame,
        httpx.Client(base_url=lame.address, timeout=60) as client,
    ):
        with client.stream("POST", "/api/runs", json=short(), headers=STREAM) as response:
            lane = read(response)[-1].data["lanes"][0]
        assert (lane["status"], "cannot start" in lane["reason"]) == ("failed", True)
        assert client.get("/healthz").json()["worker"] == "starting"


def test_worker_dies_with_a_server_that_is_killed():
    with server(SECONDORDER_WARM="0") as orphaning:
        orphaning.wait_until_ready()
        worker = orphaning.worker
        orphaning.stop(signal.SIGKILL)
        for _ in range(200):
            try:
                os.kill(worker, 0)
            except ProcessLookupError:
                return
            time.sleep(0.02)
    pytest.fail("the worker outlived the server")


def test_lessons_are_compiled_in_the_background():
    def waiting() -> str:
        return next(line for line in client.get("/metrics").text.splitlines() if line.startswith("secondorder_lessons"))

    with server() as warm, httpx.Client(base_url=warm.address, timeout=60) as client:
        assert waiting() != "secondorder_lessons_to_warm 0.0"
        assert run(client, short())[-1].kind == "end"
        while waiting() != "secondorder_lessons_to_warm 0.0":
            time.sleep(0.1)
        assert "Traceback" not in warm.log
        assert "refused" not in warm.log
