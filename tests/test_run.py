"""From a spec to its events and back: the stream's shape, its bytes, how lanes end, replay, and the Python API."""

import gc
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest

import secondorder as so
from secondorder import program, trajectories
from secondorder.run import Event, events, parameters, replay
from secondorder.spec import SpecError, parse
from secondorder.trajectories import Trajectories, rows_of
from tests.oracles import gradient_of, objective, value
from tests.streams import ends, lasting, read, rows, told

NEWTON, GD, DAMPED = {"name": "newton"}, {"name": "gradient-descent"}, {"name": "damped-newton"}
LOGISTIC, ROSENBROCK, QUADRATIC = ({"name": name} for name in ("logistic-cost", "rosenbrock", "quadratic"))
# The example of the public contract: four lanes.
EXAMPLE = {
    "problem": LOGISTIC,
    "start": [2.5, -1.0],
    "steps": 40,
    "optimizers": [NEWTON, DAMPED | {"damping": [0.01, 0.1, 1.0]}],
    "probes": [{"name": "spectrum", "matrix": "hessian", "every": 1}],
}


@pytest.fixture(scope="module")
def example() -> list[Event]:
    return told(**EXAMPLE)


# --- the stream -------------------------------------------------------------------------------------------------------


def test_first_the_run_then_chunks_probes_and_clocks_last_the_end(example):
    kinds = [event.kind for event in example]
    assert kinds[0] == "run"
    assert kinds[-1] == "end"
    assert set(kinds[1:-1]) == {"chunk", "probe", "clock"}


def test_the_run_event_tells_which_probes_do_not_fit_its_own_problem():
    problems = [LOGISTIC | {"size": size} for size in (1, 2)]
    one, two = (told(problem=problem, optimizers=[NEWTON], steps=1)[0].data["unfit"] for problem in problems)
    assert "one-dimension" not in one
    assert two["one-dimension"] == "is drawn for one weight; this problem has 2"
    assert "layers" in one["kronecker-blocks"]


def test_the_run_event_tells_id_spec_lanes_and_columns(example):
    spec = parse(EXAMPLE)
    data = read(example)[0][1]
    assert set(data) == {"id", "spec", "lanes", "dimension", "examples", "columns", "unfit"}
    assert (data["id"], data["spec"], data["lanes"]) == (spec.id, spec.canonical(), spec.lanes)
    assert (data["dimension"], data["examples"]) == (2, 1)
    assert sorted(data["columns"]) == sorted(["loss", "gradient_norm", "step_norm", "slope", "passes", "examples", "w"])
    assert (data["columns"][0], data["columns"][-1]) == ("loss", "w")
    assert [lane["optimizer"] for lane in data["lanes"]] == ["newton", *["damped-newton"] * 3]


@pytest.mark.parametrize("lane", range(4))
def test_every_lane_has_the_rows_from_its_start_to_its_end(example, lane):
    columns = rows(example, lane)
    assert set(columns) == {"loss", "gradient_norm", "step_norm", "slope", "passes", "examples", "w"}
    assert columns["w"][0].tolist() == [2.5, -1.0]
    assert len(columns["loss"]) == ends(example)[lane]["step"] + 1
    assert (ends(example)[lane]["lane"], len(ends(example))) == (lane, 4)


@pytest.mark.parametrize("lane", range(4))
def test_columns_are_what_they_are_called(example, lane):
    """Loss, gradient norm, step norm and slope gᵀδ, from the weights of each row alone."""
    columns = rows(example, lane)
    J, w = objective(parse(EXAMPLE).problem), columns["w"]
    g = np.array([gradient_of(J, point) for point in w])
    δ = np.diff(w, axis=0)
    np.testing.assert_allclose(columns["loss"], [value(J, point) for point in w], rtol=1e-14)
    np.testing.assert_allclose(columns["gradient_norm"], np.linalg.norm(g, axis=1), rtol=1e-13)
    np.testing.assert_allclose(columns["step_norm"][1:], np.linalg.norm(δ, axis=1), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(columns["slope"][1:], np.sum(g[:-1] * δ, axis=1), rtol=1e-9, atol=1e-14)


def test_what_is_not_defined_is_null_never_nan(example):
    """Row 0 has no step that led to it."""
    for lane in range(4):
        first = next(data for kind, data in read(example) if kind == "chunk" and data["lane"] == lane)
        assert first["first"] == 0
        assert [first["columns"][name][0] for name in ("step_norm", "slope", "passes")] == [None, None, 0.0]
        assert None not in first["columns"]["step_norm"][1:]
    assert not any(word in line for line in lasting(example) for word in (b"NaN", b"Infinity"))


def test_a_probe_follows_the_chunk_that_has_its_row(example):
    known = Counter()
    for event in example:
        if event.kind == "chunk":
            known[event.data["lane"]] += len(event.data["columns"]["loss"])
        if event.kind == "probe":
            assert event.data["step"] < known[event.data["lane"]]


def test_a_clock_follows_every_chunk_and_only_grows():
    stream = told(problem=QUADRATIC, optimizers=[GD], steps=200, tolerance=0)
    clocks = [event.data for event in stream if event.kind == "clock"]
    chunks = [event.data for event in stream if event.kind == "chunk"]
    assert [c["step"] for c in clocks] == [c["first"] + len(c["columns"]["loss"]) - 1 for c in chunks]
    assert {clock["lane"] for clock in clocks} == {0}
    assert clocks[-1]["step"] == 200
    seconds = [clock["seconds"] for clock in clocks]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_n_steps_give_the_rows_0_to_n(steps):
    stream = told(problem=QUADRATIC, optimizers=[GD, NEWTON], steps=steps, tolerance=0)
    assert len(rows(stream)["loss"]) == steps + 1
    assert ends(stream)[0] == {"lane": 0, "status": "budget", "step": steps, "reason": ends(stream)[0]["reason"]}
    assert f"all {steps} steps are used" in ends(stream)[0]["reason"]


@pytest.mark.parametrize(("size", "shown"), [(2, True), (3, True), (4, False)])
def test_weights_are_sent_up_to_three(size, shown):
    stream = told(problem=QUADRATIC | {"size": size}, optimizers=[GD], steps=2)
    assert ("w" in rows(stream)) is shown
    assert ("w" in stream[0].data["columns"]) is shown
    if shown:
        assert rows(stream)["w"].shape == (3, size)


def test_columns_of_all_programs_are_told_and_each_lane_has_its_own():
    adapting = DAMPED | {"adapt": "levenberg-marquardt"}
    stream = told(problem=ROSENBROCK, optimizers=[NEWTON, adapting], steps=5)
    common = {"loss", "gradient_norm", "step_norm", "slope", "passes", "examples", "w"}
    assert set(rows(stream, 0)) == common
    assert set(rows(stream, 1)) == common | {"damping", "rho"}
    assert set(stream[0].data["columns"]) == common | {"damping", "rho"}
    assert len(stream[0].data["columns"]) == 9


# --- the same spec, the same bytes ------------------------------------------------------------------------------------

DETERMINED = [
    EXAMPLE,
    {"problem": ROSENBROCK, "optimizers": [GD, {"name": "damped-newton", "adapt": "levenberg-marquardt"}], "steps": 90},
    {
        "problem": {"name": "digits-classifier", "widths": [64, 4, 10], "batch": 64, "held_out": 0.2},
        "optimizers": [{"name": "adam", "rate": [0.01, 0.1]}],
        "steps": 40,
        "seed": 5,
        "probes": [{"name": "landscape", "resolution": 5}],
    },
]


def bytes_of(specs: list[dict[str, Any]]) -> list[bytes]:
    """Everything that a replay must repeat, ready to be compared."""
    return [line for spec in specs for line in lasting(told(**spec))]


def test_twice_in_one_process():
    assert bytes_of(DETERMINED) == bytes_of(DETERMINED)


def test_in_two_processes():
    code = (
        "import orjson, sys\n"
        "from tests.test_run import bytes_of\n"
        "sys.stdout.buffer.write(b'\\n'.join(bytes_of(orjson.loads(sys.stdin.buffer.read()))))\n"
    )
    root = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", code], input=orjson.dumps(DETERMINED), capture_output=True, check=True, cwd=root
    )
    assert done.stdout.split(b"\n") == bytes_of(DETERMINED)


def test_no_clock_decides_anything(monkeypatch):
    """However long the steps seem to take, the events are the same; only the clock events tell of it."""
    calm = lasting(told(**EXAMPLE))
    wild = iter(np.cumsum(np.random.default_rng(0).exponential(100.0, 10_000)).tolist())
    monkeypatch.setattr(program.time, "perf_counter", lambda: next(wild))
    stream = told(**EXAMPLE)
    assert lasting(stream) == calm
    assert max(event.data["seconds"] for event in stream if event.kind == "clock") > 10


def test_runs_that_take_turns_do_not_meet():
    """A worker goes on with several generators event by event; one of them is closed on the way."""
    others = [EXAMPLE, DETERMINED[1], {"problem": QUADRATIC, "optimizers": [GD], "steps": 100}]
    alone = [lasting(told(**spec)) for spec in others]
    running = [events(parse(spec)) for spec in others]
    closed = events(parse(EXAMPLE | {"steps": 39}))
    next(closed), next(closed)  # type: ignore[unused-expression]
    heard: list[list[Event]] = [[] for _ in others]
    while any(running):
        for i, generator in enumerate(running):
            event = next(generator, None) if generator else None
            if event is None:
                running[i] = None  # type: ignore[call-overload]
            else:
                heard[i].append(event)
        closed.close()
    assert [lasting(stream) for stream in heard] == alone


# --- how lanes end ----------------------------------------------------------------------------------------------------

STATUSES: dict[str, tuple[dict[str, Any], str, int | None, str]] = {
    "converged": (
        {"problem": LOGISTIC, "optimizers": [NEWTON]},
        "converged", 5, "the gradient norm is within the tolerance 1e-09",
    ),
    "converged at the start": (
        {"problem": QUADRATIC, "optimizers": [GD], "start": [0, 0]},
        "converged", 0, "the gradient norm is within the tolerance 1e-09",
    ),
    "budget": ({"problem": ROSENBROCK, "optimizers": [GD], "steps": 7}, "budget", 7, "all 7 steps are used"),
    "converged with the last step": (
        {"problem": QUADRATIC, "optimizers": [NEWTON], "steps": 1},
        "converged", 1, "the gradient norm is within the tolerance 1e-09",
    ),
    "too large a rate": (
        {"problem": QUADRATIC, "optimizers": [GD | {"rate": 50}], "steps": 1000},
        "diverged", None, "the loss is not finite at step {next}",
    ),
    "too large a rate from far away": (
        {"problem": ROSENBROCK, "optimizers": [GD | {"rate": 100}], "start": [1e20, 1e20]},
        "diverged", 0, "the gradient is not finite at step 1",
    ),
    "Newton beyond the threshold": (
        {"problem": LOGISTIC, "optimizers": [NEWTON], "start": [2.5, -1]},
        "diverged", None, "the Hessian is singular at step {step}",
    ),
    "a singular Hessian": (
        # H = [[1200x² - 400y + 2, -400x], [-400x, 200]] at (0, 1/200).
        {"problem": ROSENBROCK, "optimizers": [NEWTON], "start": [0, 0.005]},
        "stopped", 0, "the Hessian is singular at step 0",
    ),
    "damping that cancels a negative curvature": (
        # H = diag(1, -1) where y = 0.
        {"problem": {"name": "saddle"}, "optimizers": [DAMPED | {"damping": 1}], "start": [1, 0]},
        "stopped", 0, "the damped Hessian H + ηI is singular at step 0",
    ),
    "no curvature at all": (
        # One example, six flat directions: without damping and l2 term G has rank 1.
        {"problem": {"name": "logistic-cost", "size": 3}, "optimizers": [{"name": "gauss-newton", "damping": 0}],
         "start": [800, 0, 0]},
        "stopped", 0, "the damped Gauss-Newton matrix G + ηI is singular at step 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STATUSES)
def test_how_a_lane_ends(case):
    spec, status, step, reason = STATUSES[case]
    stream = told(**spec)
    (end,) = ends(stream)
    assert set(end) == {"lane", "status", "step", "reason"}
    assert (end["status"], end["step"]) == (status, end["step"] if step is None else step)
    assert end["reason"] == reason.format(step=end["step"], next=end["step"] + 1)
    columns = rows(stream)
    assert len(columns["loss"]) == end["step"] + 1
    for name in ("loss", "gradient_norm", "w"):
        assert np.isfinite(columns[name]).all(), "the last row is the last finite one"


def test_what_diverges_is_not_ended_too_early():
    """The row after the last would not have been finite."""
    stream = told(problem=QUADRATIC, optimizers=[GD | {"rate": 50}], steps=1000)
    last = rows(stream)["w"][-1]
    J = objective(parse({"problem": QUADRATIC, "optimizers": [GD]}).problem)
    assert np.isfinite(value(J, last))
    assert not np.isfinite(value(J, last - 50 * np.asarray(gradient_of(J, last))))


def test_lanes_end_one_by_one():
    """Three rates: too large, in time, too small; each ends on its own and the others go on."""
    stream = told(problem=QUADRATIC, optimizers=[GD | {"rate": [50, 1.5, 1e-6]}], steps=600)
    assert [end["status"] for end in ends(stream)] == ["diverged", "converged", "budget"]
    steps = [end["step"] for end in ends(stream)]
    assert steps[0] < steps[1] < steps[2] == 600
    assert [len(rows(stream, lane)["loss"]) for lane in range(3)] == [step + 1 for step in steps]


@pytest.mark.parametrize("start", [[0, 0], [1, 1]])
def test_tolerance_0_is_never_met(start):
    stream = told(problem=QUADRATIC, optimizers=[GD], start=start, steps=20, tolerance=0)
    assert (ends(stream)[0]["status"], ends(stream)[0]["step"]) == ("budget", 20)


def test_the_tolerance_is_the_specs():
    for tolerance in (1e-2, 1e-6):
        stream = told(problem=QUADRATIC, optimizers=[GD], steps=2000, tolerance=tolerance)
        norms = rows(stream)["gradient_norm"]
        assert norms[-1] <= tolerance < norms[-2]
        assert ends(stream)[0]["reason"] == f"the gradient norm is within the tolerance {tolerance:g}"


# --- replay -----------------------------------------------------------------------------------------------------------

REPLAYED = {
    "problem": QUADRATIC,
    "optimizers": [NEWTON, GD | {"rate": [0.5, 50.0]}],
    "steps": 120,
    "tolerance": 1e-7,
}


@pytest.fixture(params=["remembered", "forgotten"])
def remembering(request, monkeypatch):
    """What is asked of a run may still be remembered, or is computed again."""
    if request.param == "forgotten":
        monkeypatch.setattr(trajectories, "recent", Trajectories(limit=0))


@pytest.mark.usefixtures("remembering")
def test_weights_at_any_step_are_the_runs():
    spec = parse(REPLAYED)
    stream = list(events(spec))
    for lane in range(3):
        w = rows(stream, lane)["w"]
        for step in {0, 1, 2, 33, 34, 90, 119, 120, len(w) - 1}:
            if step < len(w):
                assert replay(spec, lane, step).tolist() == w[step].tolist()
            else:
                with pytest.raises(LookupError, match=f"lane {lane} ends before step {step}"):
                    replay(spec, lane, step)


@pytest.mark.usefixtures("remembering")
@pytest.mark.parametrize(("lane", "step"), [(3, 0), (-1, 0), (0, -1), (0, 121)])
def test_no_such_lane_or_step(lane, step):
    spec = parse(REPLAYED)
    list(events(spec))
    with pytest.raises(LookupError):
        replay(spec, lane, step)
    with pytest.raises(LookupError):
        parameters(spec, lane, step)


@pytest.mark.usefixtures("remembering")
def test_parameters_are_the_weights_by_name():
    problem = {"name": "regression-network", "size": 20, "dtype": "float32"}
    run = so.run(problem=problem, optimizers=[GD], steps=3)
    named = parameters(run.spec, 0, 3)
    assert {name: array.shape for name, array in named.items()} == {
        "W1": (16, 1), "b1": (16,), "W2": (16, 16), "b2": (16,), "W3": (1, 16), "b3": (1,)
    }  # fmt: skip
    assert {array.dtype for array in named.values()} == {np.dtype("float32")}
    matrices = [np.column_stack([named[f"W{i}"], named[f"b{i}"]]) for i in (1, 2, 3)]
    assert np.concatenate([matrix.ravel() for matrix in matrices]).tolist() == run.lanes[0].w[3].tolist()


# --- closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", range(12))
def test_closing_midway_leaves_nothing_half_remembered(heard):
    spec = parse(REPLAYED)
    whole = list(events(spec))
    generator = events(spec)
    for _ in range(heard):
        next(generator)
    generator.close()
    gc.collect()
    for lane, end in enumerate(ends(whole)):
        assert replay(spec, lane, end["step"]).tolist() == rows(whole, lane)["w"][-1].tolist()
        with pytest.raises(LookupError):
            replay(spec, lane, end["step"] + 1)
    assert lasting(list(events(spec))) == lasting(whole)


def test_two_executions_of_one_spec_side_by_side():
    """Say, a run inside another's loop: neither may spoil what is remembered of the run."""
    spec = parse({"problem": ROSENBROCK, "optimizers": [GD], "steps": 100, "tolerance": 0})
    first = events(spec)
    for _ in range(3):
        next(first)
    run = so.run(problem=ROSENBROCK, optimizers=[GD], steps=100, tolerance=0)
    assert run.lanes[0].w.shape == (101, 2)
    assert list(first)[-1].kind == "end"
    assert rows_of(spec)[0].tolist() == run.lanes[0].w.tolist()
    with pytest.raises(LookupError):
        replay(spec, 0, 101)


def test_one_execution_closed_while_another_goes_on():
    spec = parse({"problem": ROSENBROCK, "optimizers": [GD], "steps": 101, "tolerance": 0})
    old, new = events(spec), events(spec)
    heard = [next(generator) for generator in (old, new) for _ in range(3)]
    assert heard[0] == heard[3]
    old.close()
    list(new)
    assert replay(spec, 0, 101).shape == (2,)
    with pytest.raises(LookupError):
        replay(spec, 0, 102)


# --- the Python API ---------------------------------------------------------------------------------------------------


def test_run_takes_a_dictionary_or_keywords_or_both(example):
    for run in (so.run(EXAMPLE), so.run(**EXAMPLE), so.run({**EXAMPLE, "steps": 3}, steps=40)):
        assert lasting(run.events) == lasting(example)
        assert run.spec.canonical() == parse(EXAMPLE).canonical()


def test_lanes_are_arrays(example):
    run = so.run(EXAMPLE)
    assert [lane.optimizer for lane in run.lanes] == ["newton", *["damped-newton"] * 3]
    assert [lane.knobs for lane in run.lanes] == [{}, {"damping": 0.01}, {"damping": 0.1}, {"damping": 1.0}]
    for number, lane in enumerate(run.lanes):
        columns, end = rows(example, number), ends(example)[number]
        assert (lane.status, lane.step, lane.reason) == (end["status"], end["step"], end["reason"])
        assert lane.label == example[0].data["lanes"][number]["label"]
        assert lane.w.tolist() == columns["w"].tolist()
        for name in ("loss", "gradient_norm", "step_norm", "slope", "passes", "examples"):
            np.testing.assert_array_equal(getattr(lane, name), columns[name])
        with pytest.raises(AttributeError, match="batch_loss"):
            lane.batch_loss  # noqa: B018


def test_weights_beyond_three_are_arrays_too():
    lane = so.run(problem={"name": "logistic-regression"}, optimizers=[NEWTON]).lanes[0]
    assert lane.w.shape == (len(lane.loss), 31)
    assert "w" not in lane.columns


def test_numpys_numbers_are_numbers():
    run = so.run(
        problem={"name": "quadratic", "condition": np.float32(4), "size": np.int64(2)},
        optimizers=[{"name": "gradient-descent", "rate": np.geomspace(0.1, 1.0, 3)}],
        start=np.array([1.0, 2.0]),
        steps=np.int64(3),
    )
    assert len(run.lanes) == 3
    assert run.lanes[2].w.shape == (4, 2)


def test_a_mistake_is_told_before_anything_runs():
    with pytest.raises(SpecError, match="did you mean 'newton'") as caught:
        so.run(problem=ROSENBROCK, optimizers=[{"name": "newtn"}])
    assert caught.value.at == "optimizers[0].name"
