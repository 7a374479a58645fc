"""The public contract, route by route, at a real server."""

import csv
import io
import time

import httpx
import numpy as np
import pytest

from tests.server.events import STREAM, Frame, ids, long, read, run, short, under_way

CONVEX = {"problem": {"name": "logistic-cost"}, "optimizers": [{"name": "newton"}], "start": [1.0, -1.0]}


def posted(client: httpx.Client, spec: dict) -> dict:
    return client.post("/api/runs", json=spec).json()


def finished(client: httpx.Client, spec: dict) -> dict:
    """Runs a spec to its end and gives its summary."""
    run(client, spec)
    return client.get(f"/api/runs/{posted(client, spec)['id']}").json()


class TestCatalog:
    def test_names(self, client):
        catalog = client.get("/api/catalog").json()
        assert {"newton", "gradient-descent"} <= {entry["name"] for entry in catalog["optimizers"]}
        assert {"problems", "optimizers", "probes", "lessons", "version"} <= set(catalog)

    def test_is_not_sent_twice(self, client):
        tag = client.get("/api/catalog").headers["etag"]
        assert client.get("/api/catalog", headers={"if-none-match": tag}).status_code == 304

    def test_is_compressed(self, client):
        assert client.get("/api/catalog").headers["content-encoding"] == "gzip"


class TestPost:
    def test_answer(self, client):
        spec = short()
        answer = client.post("/api/runs", json=spec)
        told = answer.json()
        assert answer.status_code == 201
        assert set(told) == {"id", "spec", "lanes", "events"}
        assert [lane["knobs"]["rate"] for lane in told["lanes"]] == [1e-4, 1e-3]
        assert told["spec"]["seed"] == spec["seed"]
        assert told["events"] == f"/api/runs/{told['id']}/events"

    def test_known(self, client):
        spec = short()
        first, second = client.post("/api/runs", json=spec), client.post("/api/runs", json=spec)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json() == second.json()

    def test_stream(self, client):
        with client.stream("POST", "/api/runs", json=CONVEX, headers=STREAM) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["x-accel-buffering"] == "no"
            response.read()

    def test_canonical_form_is_the_same_run(self, client):
        told = posted(client, CONVEX)
        assert posted(client, told["spec"])["id"] == told["id"]


class TestRun:
    def test_unknown(self, client):
        answer = client.get("/api/runs/nothing")
        assert (answer.status_code, answer.json()["message"]) == (404, "unknown run")

    def test_finished(self, client):
        told = finished(client, CONVEX)
        assert told["state"] == "finished"
        assert told["lanes"][0]["status"] == "converged"
        assert told["lanes"][0]["step"] > 2

    def test_finished_is_cached_for_ever(self, client):
        answer = client.get(f"/api/runs/{finished(client, CONVEX)['id']}")
        assert "immutable" in answer.headers["cache-control"]
        again = client.get(answer.url.path, headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304

    def test_under_way(self, client):
        with under_way(client, long()) as (id, _):
            answer = client.get(f"/api/runs/{id}")
            assert answer.json()["state"] == "running"
            assert answer.headers["cache-control"] == "no-store"

    def test_without_a_stream_runs_to_its_end(self, client):
        told = posted(client, short())
        while client.get(f"/api/runs/{told['id']}").json()["state"] in ("queued", "running"):
            time.sleep(0.02)
        assert client.get(f"/api/runs/{told['id']}").json()["state"] == "finished"


class TestCancel:
    def test_tells_its_viewers(self, client):
        with under_way(client, long()) as (id, coming):
            assert client.delete(f"/api/runs/{id}").json()["state"] == "cancelled"
            end = list(coming)[-1]
            assert (end.kind, end.data["lanes"][0]["status"]) == ("end", "cancelled")

    def test_step_is_the_last_that_was_told(self, client):
        with under_way(client, long(), events=6) as (id, coming):
            client.delete(f"/api/runs/{id}")
            *rest, end = list(coming)
        chunks = [frame.data for frame in rest if frame.kind == "chunk"]
        last = client.get(f"/api/runs/{id}").json()["lanes"][0]["step"]
        assert end.data["lanes"][0]["step"] == last
        if chunks:
            assert last == chunks[-1]["first"] + len(chunks[-1]["columns"]["loss"]) - 1

    def test_posted_again_runs_anew(self, client):
        spec = long(steps=400)
        with under_way(client, spec) as (id, _):
            client.delete(f"/api/runs/{id}")
        told = run(client, spec)
        assert told[-1].data["lanes"][0]["status"] == "budget"
        assert ids(told) == list(range(len(ids(told))))

    def test_leaves_a_finished_run_as_it_is(self, client):
        told = finished(client, CONVEX)
        assert client.delete(f"/api/runs/{told['id']}").json()["state"] == "finished"

    def test_unknown(self, client):
        assert client.delete("/api/runs/nothing").status_code == 404


class TestData:
    SPEC = {
        "problem": {"name": "rosenbrock"},
        "optimizers": [{"name": "newton"}, {"name": "gradient-descent", "rate": 1e-3}],
        "steps": 30,
    }

    def test_csv(self, client):
        told = finished(client, self.SPEC)
        answer = client.get(f"/api/runs/{told['id']}/data.csv")
        header, *rows = csv.reader(io.StringIO(answer.text))
        assert header[:2] == ["lane", "step"]
        assert "loss" in header
        assert header[-2:] == ["w0", "w1"]
        places = [(int(row[0]), int(row[1])) for row in rows]
        assert places == [(lane["lane"], step) for lane in told["lanes"] for step in range(lane["step"] + 1)]
        assert "immutable" in answer.headers["cache-control"]

    def test_json_has_the_same(self, client):
        id = finished(client, self.SPEC)["id"]
        rows = client.get(f"/api/runs/{id}/data.json").json()
        text = client.get(f"/api/runs/{id}/data.csv").text
        for row, told in zip(rows, csv.DictReader(io.StringIO(text)), strict=True):
            assert list(row) == list(told)
            assert [float(value) if value else None for value in told.values()] == list(row.values())

    def test_waits_for_the_end(self, client):
        told = posted(client, long(steps=300))
        rows = client.get(f"/api/runs/{told['id']}/data.json").json()
        assert rows[-1]["step"] == 300

    def test_wide_weights_are_left_out(self, client):
        told = posted(client, long(steps=3))
        assert "w0" not in client.get(f"/api/runs/{told['id']}/data.json").json()[0]


class TestParameters:
    def test_recorded(self, client):
        id = finished(client, CONVEX)["id"]
        row = client.get(f"/api/runs/{id}/data.json").json()[2]
        answer = client.get(f"/api/runs/{id}/parameters", params={"lane": 0, "step": 2})
        arrays = np.load(io.BytesIO(answer.content))
        assert float(arrays["w0"]) == row["w0"]

    def test_network(self, client):
        id = finished(client, long(steps=5))["id"]
        arrays = np.load(io.BytesIO(client.get(f"/api/runs/{id}/parameters?step=5").content))
        assert len(arrays.files) >= 4
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)

    @pytest.mark.parametrize("query", ["lane=7", "step=100000", "step=-1", "step=1.5", "lane=x", "step=%F0%9F%98%80"])
    def test_refused(self, client, query):
        id = finished(client, CONVEX)["id"]
        answer = client.get(f"/api/runs/{id}/parameters?{query}")
        assert answer.status_code == 422
        assert answer.json()["at"] == query.partition("=")[0]


LANCZOS = {
    "problem": {"name": "rosenbrock"},
    "at": [0.5, 0.5],
    "probe": {"name": "spectrum", "method": "lanczos", "probes": 4},
}


def stages(client: httpx.Client, body: dict) -> list[Frame]:
    """The answers to a question as they come."""
    with client.stream("POST", "/api/probes", json=body, headers=STREAM) as response:
        return read(response)


class TestProbes:
    def test_at_weights(self, client):
        body = {"problem": {"name": "rosenbrock"}, "at": [0.5, 0.5], "probe": {"name": "quadratic-model"}}
        told = client.post("/api/probes", json=body).json()
        assert (told["name"], told["lane"], told["step"]) == ("quadratic-model", None, None)
        assert np.shape(told["data"]["hessian"]) == (2, 2)

    def test_in_a_run(self, client):
        id = finished(client, CONVEX)["id"]
        told = client.post("/api/probes", json={"run": id, "step": 1, "probe": {"name": "spectrum"}}).json()
        assert (told["name"], told["lane"], told["step"]) == ("spectrum", 0, 1)
        assert told["data"]["eigenvalues"] == sorted(told["data"]["eigenvalues"])

    def test_plane_of_a_run_under_way(self, client):
        with under_way(client, long()) as (id, _):
            answer = client.post("/api/probes", json={"run": id, "step": 0, "probe": {"name": "landscape"}})
        assert answer.status_code == 409
        assert answer.json()["at"] == "run"

    def test_unknown_run(self, client):
        answer = client.post("/api/probes", json={"run": "nothing", "step": 1, "probe": {"name": "spectrum"}})
        assert (answer.status_code, answer.json()["at"]) == (404, "run")

    def test_stream_tells_each_stage(self, client):
        told = stages(client, LANCZOS)
        assert [frame.kind for frame in told] == ["probe"] * 5 + ["end"]
        assert [frame.data["data"]["done"] for frame in told[:-1]] == [1, 1, 2, 3, 4]
        assert ["partial" in frame.data for frame in told[:-1]] == [True] * 4 + [False]
        assert told[-1].data == {"status": "finished", "reason": None}
        assert told[-2].data == client.post("/api/probes", json=LANCZOS).json()

    def test_stream_of_a_run(self, client):
        id = finished(client, CONVEX)["id"]
        body = {"run": id, "step": 1, "probe": {"name": "spectrum", "method": "lanczos", "probes": 1}}
        told = stages(client, body)
        assert [(frame.data["lane"], frame.data["step"]) for frame in told[:-1]] == [(0, 1)] * 2

    def test_stream_of_an_answer_that_comes_at_once(self, client):
        body = {"problem": {"name": "rosenbrock"}, "at": [0.5, 0.5], "probe": {"name": "quadratic-model"}}
        told = stages(client, body)
        assert [frame.kind for frame in told] == ["probe", "end"]
        assert told[0].data == client.post("/api/probes", json=body).json()

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"run": "nothing", "step": 1, "probe": {"name": "spectrum"}}, 404),
            (LANCZOS | {"at": [0.5]}, 422),
            (LANCZOS | {"probe": {"name": "spectrum", "matrix": "fisher"}}, 422),
        ],
        ids=["unknown run", "wrong dimension", "no such matrix"],
    )
    def test_stream_refuses_as_an_answer_does(self, client, body, status):
        streamed, plain = (client.post("/api/probes", json=body, headers=how) for how in (STREAM, {}))
        assert (streamed.status_code, streamed.json()) == (plain.status_code, plain.json())
        assert streamed.status_code == status

    def test_are_answered_while_a_run_is_under_way(self, client):
        body = {"problem": {"name": "rosenbrock"}, "at": [0.5, 0.5], "probe": {"name": "quadratic-model"}}
        client.post("/api/probes", json=body)
        with under_way(client, long()) as (id, _):
            assert client.post("/api/probes", json=body).status_code == 200
            assert client.get(f"/api/runs/{id}").json()["state"] == "running"


def test_short_run_is_answered_while_a_long_one_is_under_way(client):
    run(client, short())
    with under_way(client, long()) as (id, _):
        assert run(client, short())[-1].kind == "end"
        assert client.get(f"/api/runs/{id}").json()["state"] == "running"


def test_runs_that_take_turns_are_the_runs_that_they_are_alone(client):
    spec = long(steps=400)
    with under_way(client, spec, events=1) as (_, first), under_way(client, long(steps=400), events=1):
        together = [frame.data for frame in first if frame.kind == "chunk"]
    other_run = spec | {"tolerance": 1e-30}
    assert [frame.data for frame in run(client, other_run) if frame.kind == "chunk"] == together


class TestService:
    def test_health(self, client):
        told = client.get("/healthz").json()
        assert told["status"] == "ok"
        assert told["worker"] in ("starting", "ready")

    def test_metrics(self, client):
        run(client, short())
        text = client.get("/metrics").text
        assert 'secondorder_runs_total{state="finished"}' in text
        assert "secondorder_worker_restarts_total 0.0" in text

    def test_icon_is_no_error(self, client):
        assert client.get("/favicon.ico").status_code == 204
