"""Probes in a run and by request: when they are asked, with which damping, in which plane, and that both agree."""

from typing import Any

import numpy as np
import pytest

import secondorder as so
from secondorder.run import answers, probe
from secondorder.spec import SpecError, parse, parse_probe
from secondorder.trajectories import principal_slice
from tests.oracles import hessian_of, objective, value
from tests.streams import encode, ends, lasting, rows, told

GD, DAMPED, NEWTON = {"name": "gradient-descent"}, {"name": "damped-newton"}, {"name": "newton"}
LM = {"adapt": "levenberg-marquardt"}
ROSENBROCK = {"name": "rosenbrock"}
# Five weights: planes are slices.
FIVE = {"name": "logistic-regression", "features": ["mean radius", "mean texture", "worst area", "worst concavity"]}


def probes(stream, lane: int | None = None, name: str | None = None) -> list[dict[str, Any]]:
    found = [event.data for event in stream if event.kind == "probe"]
    return [data for data in found if lane in (None, data["lane"]) and name in (None, data["name"])]


def of(run: so.Run, lane: int, step: int, **asked: Any) -> dict[str, Any]:
    body = {"run": run.spec.id, "lane": lane, "step": step, "probe": asked}
    return probe(parse_probe(body, lambda _: run.spec))


def at(problem: dict[str, Any], w: list[float], **asked: Any) -> dict[str, Any]:
    return probe(parse_probe({"problem": problem, "at": w, "probe": asked}))


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "steps"), [(1, 6), (3, 7), (3, 9), (50, 7), (16, 150)])
def test_a_probe_is_asked_at_every_so_many_rows_and_at_the_last(every, steps):
    asked = {"name": "spectrum", "every": every}
    stream = told(problem=ROSENBROCK, optimizers=[GD, DAMPED], steps=steps, probes=[asked])
    for lane, end in enumerate(ends(stream)):
        found = probes(stream, lane)
        assert [set(data) for data in found] == [{"lane", "step", "name", "data"}] * len(found)
        assert [data["step"] for data in found] == sorted({*range(0, end["step"] + 1, every), end["step"]})


def test_each_probe_has_its_own_rhythm():
    asked = [{"name": "spectrum", "every": 2}, {"name": "quadratic-model", "every": 3}]
    stream = told(problem=ROSENBROCK, optimizers=[GD], steps=6, probes=asked)
    assert [data["step"] for data in probes(stream, name="spectrum")] == [0, 2, 4, 6]
    assert [data["step"] for data in probes(stream, name="quadratic-model")] == [0, 3, 6]


def test_a_lane_that_diverges_is_probed_at_its_last_finite_row():
    stream = told(problem=ROSENBROCK, optimizers=[GD | {"rate": 1}], probes=[{"name": "spectrum", "every": 1000}])
    (end,) = ends(stream)
    assert end["status"] == "diverged"
    assert [data["step"] for data in probes(stream)] == [0, end["step"]]
    assert np.isfinite(probes(stream)[-1]["data"]["eigenvalues"]).all()


def test_what_is_asked_of_the_whole_run_comes_once_just_before_the_end():
    asked = [{"name": "landscape", "resolution": 5}, {"name": "spectrum", "every": 4}]
    stream = told(problem=ROSENBROCK, optimizers=[GD, DAMPED], steps=8, probes=asked)
    assert [event.kind for event in stream[-2:]] == ["probe", "end"]
    (landscape,) = probes(stream, name="landscape")
    assert stream[-2].data is landscape
    assert (landscape["lane"], landscape["step"]) == (0, 0)
    assert len(landscape["data"]["paths"]) == 2
    for lane, path in enumerate(landscape["data"]["paths"]):
        assert path.tolist() == rows(stream, lane)["w"].tolist()


def test_a_probe_answers_of_its_rows_weights():
    stream = told(problem=ROSENBROCK, optimizers=[GD], steps=4, probes=[{"name": "spectrum"}])
    J = objective(parse({"problem": ROSENBROCK, "optimizers": [GD]}).problem)
    for data, w in zip(probes(stream), rows(stream)["w"], strict=True):
        np.testing.assert_allclose(data["data"]["eigenvalues"], np.linalg.eigvalsh(hessian_of(J, w)), rtol=1e-10)


# --- with which damping -----------------------------------------------------------------------------------------------


def check_filter(data: dict[str, Any], damping: float) -> None:
    ν = np.asarray(data["eigenvalues"])
    assert data["damping"] == pytest.approx(damping, rel=1e-14)
    np.testing.assert_allclose(data["filter"], ν / (ν + damping), rtol=1e-12)


def test_the_filter_has_the_lanes_damping():
    swept = DAMPED | {"damping": [0.5, 20.0]}
    stream = told(problem=ROSENBROCK, optimizers=[GD, swept], steps=2, probes=[{"name": "spectrum"}])
    for data in probes(stream, 0):
        assert (data["data"]["damping"], data["data"]["filter"]) == (None, None)
    for lane, damping in ((1, 0.5), (2, 20.0)):
        for data in probes(stream, lane):
            check_filter(data["data"], damping)


def test_the_probes_own_damping_comes_first():
    stream = told(problem=ROSENBROCK, optimizers=[GD, DAMPED], steps=2, probes=[{"name": "spectrum", "damping": 3}])
    for data in probes(stream):
        check_filter(data["data"], 3.0)


def test_adapted_damping_reaches_the_filter():
    """A row's probe is told η of the step that comes next, which the column ``damping`` tells a row later."""
    stream = told(problem=ROSENBROCK, optimizers=[DAMPED | LM], steps=20, probes=[{"name": "spectrum"}])
    adapted = rows(stream)["damping"]
    found = [data["data"] for data in probes(stream)]
    assert found[0]["damping"] == 0.1
    for data, damping in zip(found[:-1], adapted[1:], strict=True):
        check_filter(data, damping)
    assert len(set(adapted[1:].tolist())) > 5, "it did adapt"


# --- by request -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizers", "asked"),
    [
        ([GD, DAMPED], {"name": "spectrum"}),
        ([GD, DAMPED], {"name": "spectrum", "matrix": "gauss-newton", "damping": 2.0}),
        ([GD, DAMPED], {"name": "quadratic-model"}),
        ([GD, DAMPED], {"name": "damping-path", "resolution": 9}),
        ([DAMPED | LM], {"name": "spectrum"}),
        ([DAMPED | LM], {"name": "damping-path", "resolution": 9}),
    ],
    ids=["spectrum", "gauss-newton", "quadratic-model", "damping-path", "adapted spectrum", "adapted damping-path"],
)
def test_asked_afterwards_the_answer_is_the_one_in_the_run(optimizers, asked):
    run = so.run(problem=ROSENBROCK, optimizers=optimizers, steps=20, probes=[asked])
    found = [event for event in run.events if event.kind == "probe"]
    assert len(found) == sum(lane.step + 1 for lane in run.lanes)
    for event in found[:: max(1, len(found) // 6)]:
        data = event.data
        again = event._replace(data=data | {"data": of(run, data["lane"], data["step"], **asked)})
        assert encode(again) == encode(event)


def test_asked_afterwards_the_landscape_is_the_one_in_the_run():
    asked = {"name": "landscape", "resolution": 4}
    for problem in (ROSENBROCK, FIVE):
        run = so.run(problem=problem, optimizers=[GD], steps=5, probes=[asked])
        (event,) = (event for event in run.events if event.kind == "probe")
        again = event._replace(data=event.data | {"data": of(run, 0, 0, **asked)})
        assert encode(again) == encode(event)


def test_at_given_weights_the_answer_is_that_of_a_run_which_stands_there():
    run = so.run(problem=ROSENBROCK, optimizers=[DAMPED], steps=3)
    for step in range(4):
        w = run.lanes[0].w[step].tolist()
        there = at(ROSENBROCK, w, name="spectrum", damping=0.1)
        here = of(run, 0, step, name="spectrum")
        for name in ("eigenvalues", "gradient", "filter"):
            np.testing.assert_array_equal(there[name], here[name])
        assert at(ROSENBROCK, w, name="spectrum")["damping"] is None


def test_beyond_the_end_of_a_lane_there_is_nothing_to_ask():
    run = so.run(problem=ROSENBROCK, optimizers=[NEWTON], steps=30)
    assert run.lanes[0].step < 30
    of(run, 0, run.lanes[0].step, name="spectrum")
    with pytest.raises(LookupError):
        of(run, 0, run.lanes[0].step + 1, name="spectrum")
    with pytest.raises(SpecError, match="no such step"):
        of(run, 0, 31, name="spectrum")


# --- in stages --------------------------------------------------------------------------------------------------------

STAGED = {"name": "spectrum", "method": "lanczos", "probes": 3}


def test_what_is_known_so_far_is_told_after_each_stage():
    stream = told(problem=ROSENBROCK, optimizers=[GD, DAMPED], steps=3, probes=[STAGED | {"every": 2}])
    for lane in (0, 1):
        found = [(data["step"], data["data"]["done"], data.get("partial", False)) for data in probes(stream, lane)]
        each = [(1, True), (1, True), (2, True), (3, False)]
        assert found == [(step, *told) for step in (0, 2, 3) for told in each]


def test_a_replay_tells_the_same_stages():
    fields = {"problem": ROSENBROCK, "optimizers": [GD], "steps": 3, "probes": [STAGED]}
    assert lasting(told(**fields)) == lasting(told(**fields))


def test_asked_by_itself_an_answer_is_the_last_stage_and_the_stages_are_the_runs():
    run = so.run(problem=ROSENBROCK, optimizers=[DAMPED], steps=2, probes=[STAGED])
    in_run = [event.data["data"] for event in run.events if event.kind == "probe" and event.data["step"] == 1]
    body = {"run": run.spec.id, "lane": 0, "step": 1, "probe": STAGED}
    asked = list(answers(parse_probe(body, lambda _: run.spec)))
    assert [answer.whole for answer in asked] == [False, False, False, True]
    whole = of(run, 0, 1, **STAGED)
    for one, two in [*zip(in_run, [answer.data for answer in asked], strict=True), (in_run[-1], whole)]:
        assert encode(run.events[0]._replace(data=one)) == encode(run.events[0]._replace(data=two))


# --- in which plane ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def five() -> so.Run:
    # The last lane takes a rate that overshoots; the slice is through all three.
    return so.run(problem=FIVE, optimizers=[GD, {"name": "momentum"}, GD | {"rate": 3.0}], steps=20)


def test_of_two_weights_the_plane_is_the_weights():
    run = so.run(problem=ROSENBROCK, optimizers=[GD], steps=3)
    for name in ("landscape", "quadratic-model", "damping-path"):
        data = of(run, 0, 2, name=name)
        assert (data["slice"], data["plane"], data["explained"]) == (False, None, None)
        if name != "landscape":
            assert data["at"].tolist() == run.lanes[0].w[2].tolist()


@pytest.mark.parametrize("name", ["landscape", "quadratic-model", "damping-path"])
def test_of_more_weights_the_plane_is_the_runs_slice(five, name):
    data = of(five, 1, 4, name=name)
    expected = principal_slice([lane.w for lane in five.lanes])
    axes, origin = np.asarray(data["plane"]["axes"]), np.asarray(data["plane"]["origin"])
    assert data["slice"] is True
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    np.testing.assert_array_equal(axes, expected.plane.axes)
    np.testing.assert_array_equal(origin, five.lanes[0].w[-1])
    assert data["explained"] == expected.explained
    assert 0 < data["explained"][1] <= data["explained"][0] < 1
    if name != "landscape":
        np.testing.assert_allclose(data["at"], axes @ (five.lanes[1].w[4] - origin), rtol=1e-12)


def test_shares_explained_are_those_of_all_paths(five):
    X = np.concatenate([lane.w for lane in five.lanes]) - five.lanes[0].w[-1]
    data = of(five, 0, 0, name="landscape", resolution=3)
    axes = np.asarray(data["plane"]["axes"])
    shares = np.sum((X @ axes.T) ** 2, axis=0) / np.sum(X**2)
    np.testing.assert_allclose(data["explained"], shares, rtol=1e-9)


def test_paths_are_projected_onto_the_slice_and_lie_in_its_window(five):
    data = of(five, 0, 0, name="landscape", resolution=5)
    axes, origin = np.asarray(data["plane"]["axes"]), np.asarray(data["plane"]["origin"])
    for lane, path in zip(five.lanes, data["paths"], strict=True):
        np.testing.assert_allclose(path, (lane.w - origin) @ axes.T, atol=1e-12)
        for column, coordinates in enumerate(("x", "y")):
            assert data[coordinates][0] < path[:, column].min()
            assert data[coordinates][-1] > path[:, column].max()
    # The landscape under the end of the first path is the cost there: the plane goes through it.
    centre = of(five, 0, 0, name="landscape", resolution=3, window=[[-1, 1], [-1, 1]])["loss"][1][1]
    assert centre == pytest.approx(five.lanes[0].loss[-1], rel=1e-12)


def test_a_window_that_is_asked_for_is_taken(five):
    data = of(five, 0, 0, name="landscape", resolution=3, window=[[-2, 4], [0, 1]])
    assert (data["x"].tolist(), data["y"].tolist()) == ([-2, 1, 4], [0, 0.5, 1])


def test_without_a_window_of_the_problems_the_landscape_lies_around_the_paths():
    """One feature and an intercept: two weights, but no window of their own."""
    problem = {"name": "logistic-regression", "features": ["mean radius"]}
    run = so.run(problem=problem, optimizers=[NEWTON], probes=[{"name": "landscape", "resolution": 5}])
    (data,) = (event.data["data"] for event in run.events if event.kind == "probe")
    assert data["slice"] is False
    for column, coordinates in enumerate(("x", "y")):
        assert data[coordinates][0] < run.lanes[0].w[:, column].min()
        assert data[coordinates][-1] > run.lanes[0].w[:, column].max()
    J = objective(run.spec.problem)
    w = np.array([data["x"][1], data["y"][3]])
    assert data["loss"][3][1] == pytest.approx(float(value(J, w)), rel=1e-12)


def test_a_problems_window_is_widened_to_where_it_is_asked():
    data = at(ROSENBROCK, [5.0, 0.0], name="landscape", resolution=3)
    assert (data["x"][0], data["x"][-1], data["y"][0], data["y"][-1]) == (-2.0, 5.0, -1.0, 3.0)


def test_a_run_that_diverges_in_many_weights_is_still_drawn():
    stream = told(
        problem={"name": "quadratic", "size": 3}, optimizers=[GD | {"rate": 50}], steps=1000,
        probes=[{"name": "landscape", "resolution": 3}],
    )  # fmt: skip
    assert ends(stream)[0]["status"] == "diverged"
    (data,) = (data["data"] for data in probes(stream))
    assert np.isfinite(data["explained"]).all()
    assert np.isfinite(np.concatenate([data["x"], data["y"]])).all()


def test_planes_of_a_run_that_overflows_when_squared_are_still_numbers():
    """Newton throws the logistic cost to 1e173: J is finite there, the square of a weight is not."""
    stream = told(
        problem={"name": "logistic-cost", "size": 3}, optimizers=[NEWTON], start=[400, 1, 1],
        probes=[{"name": "landscape", "resolution": 3}],
    )  # fmt: skip
    assert np.abs(rows(stream)["w"]).max() > 1e170
    (data,) = (data["data"] for data in probes(stream))
    assert np.isfinite(data["explained"]).all()
    assert np.isfinite(np.concatenate([data["x"], data["y"]])).all()
