"""What every optimizer, problem and probe promises, over all that the catalog finds: a new file is tested by itself.

All of it goes through the public API. Programs are compiled ahead of the tests, two at a time: that is what takes long.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import orjson
import pytest

import secondorder as so
from secondorder import catalog, core
from secondorder.core import Objective
from secondorder.program import Program
from secondorder.run import probe
from secondorder.spec import SpecError, build, parse, parse_probe

PROBLEMS, OPTIMIZERS, PROBES = catalog.all_problems(), catalog.all_optimizers(), catalog.all_probes()
# Those that know no curvature, or (adam, pullback-diagonal) one number a weight: it is slow in the valleys.
SLOW = {"gradient-descent", "momentum", "adam", "taylor-gradient-descent", "pullback-diagonal"}
# On the way there is a plateau, the data's mean image, where the gradient is smaller than on the way down from it.
PLATEAU = {"curves-autoencoder"}
STATUSES = {"converged", "diverged", "stopped", "budget"}
DEAR = 0.1  # seconds a step: of these, few steps


def reasons(found: dict[str, Any]) -> dict[tuple[str, str], str | None]:
    """Why a method or probe does not fit a problem, None where it does."""
    return {(name, problem): cls.fit(PROBLEMS[problem]()) for name, cls in found.items() for problem in PROBLEMS}


def dear(optimizer: str, problem: str) -> bool:
    read = parse({"problem": {"name": problem}, "optimizers": [{"name": optimizer}]})
    return read.price / read.steps > DEAR


def spec(optimizer: str, problem: str) -> dict[str, Any]:
    """Names alone, and fewer steps where one is dear."""
    body = {"problem": {"name": problem}, "optimizers": [{"name": optimizer}]}
    return body | {"steps": 2} if dear(optimizer, problem) else body


FITTING = [pair for pair, reason in reasons(OPTIMIZERS).items() if reason is None]
UNFIT = [pair for pair, reason in reasons(OPTIMIZERS).items() if reason is not None]
ASKED = [pair for pair, reason in reasons(PROBES).items() if reason is None]
NOT_ASKED = [pair for pair, reason in reasons(PROBES).items() if reason is not None]


@pytest.fixture(scope="module")
def compiled(request):
    """The programs of the tests that were selected, each with its first step taken, as futures in the tests' order."""
    tests = [item.callspec.params for item in request.session.items if "compiled" in item.fixturenames]
    pairs = [(params["optimizer"], params["problem"]) for params in tests]

    def start(pair: tuple[str, str]) -> None:
        read = parse(spec(*pair))
        Program(read, read.groups[0]).advance()

    with ThreadPoolExecutor(2) as pool:
        yield {pair: pool.submit(start, pair) for pair in pairs if not dear(*pair)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("optimizer", "problem"), FITTING)
def test_every_optimizer_runs_on_every_problem_that_it_fits(compiled, optimizer, problem):
    if (optimizer, problem) in compiled:
        compiled[optimizer, problem].result()
    run = so.run(spec(optimizer, problem))
    (lane,) = run.lanes
    rows = lane.step + 1

    assert lane.status in STATUSES
    assert lane.reason
    assert (lane.status == "budget") == (lane.reason == f"all {run.spec.steps} steps are used")
    assert {len(column) for column in lane.columns.values()} == {rows}
    assert lane.w.shape == (rows, run.spec.problem.dimension)
    assert lane.w.dtype == run.spec.problem.dtype
    for name in ("loss", "gradient_norm", "passes"):
        assert np.isfinite(lane.columns[name]).all()
    for name, column in lane.columns.items():
        assert np.isfinite(column[1:]).all(), name
    assert (np.diff(lane.passes) > 0).all()
    for event in run.events:
        assert b"NaN" not in orjson.dumps(event.data, option=orjson.OPT_SERIALIZE_NUMPY)

    # Progress, with names alone: lower cost, and what knows the curvature gets close to where the gradient vanishes.
    # (Its norm is no descent function: L-BFGS passes through steep places on the way.)
    assert lane.status in ("converged", "budget")
    assert lane.loss[-1] < lane.loss[0]
    if run.spec.steps > 2 and problem in PLATEAU:
        assert lane.loss[-1] < lane.loss[0] / 4
    elif run.spec.steps > 2 and optimizer not in SLOW:
        assert lane.gradient_norm.min() < lane.gradient_norm[0] / 10
    if lane.status == "converged":
        assert lane.gradient_norm[-1] <= run.spec.tolerance
        assert (lane.gradient_norm[:-1] > run.spec.tolerance).all()


@pytest.mark.parametrize(("optimizer", "problem"), UNFIT)
def test_no_optimizer_runs_on_a_problem_that_lacks_what_it_needs(optimizer, problem):
    reason = reasons(OPTIMIZERS)[optimizer, problem]
    with pytest.raises(SpecError) as caught:
        so.run(problem={"name": problem}, optimizers=[{"name": optimizer}])
    assert caught.value.message == f"{optimizer} does not fit {problem}: {reason}"
    assert (caught.value.at, caught.value.status) == ("optimizers[0]", 422)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_refusal_of_a_step_is_named(name):
    """Each of the reasons why a step cannot be taken reads on in "… at step 3"."""
    for refusal in OPTIMIZERS[name].refusals:
        assert refusal == refusal.strip(" .")
        assert len(refusal) > 10


# --- problems ---------------------------------------------------------------------------------------------------------


def precisions(name: str) -> list[str]:
    return core.options(PROBLEMS[name]).get("dtype", {"enum": ["float64"]})["enum"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_start_has_the_problems_dimension_and_follows_from_the_seed(name):
    problem = PROBLEMS[name]()
    start = problem.start(3)
    assert start.shape == (problem.dimension,)
    np.testing.assert_array_equal(start, problem.start(3))
    if problem.kind == "network":
        assert (start != problem.start(4)).any()


@pytest.mark.parametrize("name", PROBLEMS)
def test_parameters_are_all_the_weights_once(name):
    problem = PROBLEMS[name]()
    w = np.arange(problem.dimension, dtype=float)
    named = problem.parameters(w)
    assert sorted(np.concatenate([np.ravel(array) for array in named.values()])) == w.tolist()
    if problem.dimension > 3:
        assert problem.weights == list(named)


@pytest.mark.parametrize("name", PROBLEMS)
def test_data_follow_from_the_seed_and_are_as_many_as_the_problem_says(name):
    problem = PROBLEMS[name]()
    once, again = problem.data(3), problem.data(3)
    assert jax.tree.all(jax.tree.map(np.array_equal, once, again))
    assert len(once.train.inputs) == len(once.train.targets) == problem.examples
    assert once.test is None, "nothing is held out unless it is asked for"
    assert 0 <= problem.batch_size < problem.examples


@pytest.mark.parametrize("name", [name for name in PROBLEMS if "held_out" in core.options(PROBLEMS[name])])
def test_a_held_out_share_leaves_the_rest(name):
    problem = build(PROBLEMS[name], {"held_out": 0.3})
    data = problem.data(3)
    assert data.test is not None
    assert len(data.train.inputs) == problem.examples
    assert len(data.train.inputs) + len(data.test.inputs) == PROBLEMS[name]().examples


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in PROBLEMS for dtype in precisions(name)])
def test_cost_and_gradient_keep_the_precision_asked_for(name, dtype):
    fields = {"dtype": dtype} if "dtype" in core.options(PROBLEMS[name]) else {}
    body = {"problem": {"name": name, **fields}, "optimizers": [{"name": "gradient-descent"}], "steps": 1}
    run = so.run(body)
    problem = run.spec.problem
    assert problem.dtype == dtype
    assert problem.start(0).dtype == dtype
    floats = [leaf for leaf in jax.tree.leaves(problem.data(0)) if np.issubdtype(leaf.dtype, np.floating)]
    assert {leaf.dtype for leaf in floats} == {np.dtype(dtype)}
    lane = run.lanes[0]
    assert {lane.w.dtype, lane.loss.dtype, lane.gradient_norm.dtype, lane.step_norm.dtype} == {np.dtype(dtype)}


@jax.jit
def compiled_costs(J: Objective, ws):
    """Of each of the weights: one by one, and side by side."""
    return jax.lax.map(J, ws), jax.vmap(J)(ws)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_cost_is_the_same_compiled_and_side_by_side(name):
    problem = PROBLEMS[name]()
    J = Objective(problem, problem.data(0).train)
    start = problem.start(0)
    ws = start + np.random.default_rng(0).standard_normal((3, len(start))).astype(start.dtype) / 10
    plain = np.array([J(jax.numpy.asarray(w)) for w in ws])
    assert np.isfinite(plain).all()
    tolerance = 1e-12 if problem.dtype == "float64" else 1e-5
    for costs in compiled_costs(J, ws):
        np.testing.assert_allclose(costs, plain, rtol=tolerance)


# --- probes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "problem"), ASKED)
def test_every_probe_answers_of_every_problem_that_it_fits(name, problem):
    """At the first step of a run: what is drawn in a plane of many weights needs one."""
    run = so.run(problem={"name": problem}, optimizers=[{"name": "gradient-descent"}], steps=3)
    small = {"resolution": 9} if "resolution" in core.options(PROBES[name]) else {}
    asked = {"run": run.spec.id, "lane": 0, "step": 1, "probe": {"name": name, **small}}
    data = probe(parse_probe(asked, lambda _: run.spec))
    told = orjson.loads(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY))
    assert told.keys() == data.keys()
    assert None not in flat(told.get("loss", [])) + flat(told.get("eigenvalues", [])) + flat(told.get("gradient", []))
    if PROBES[name].in_a_plane:
        assert told["slice"] is (run.spec.problem.dimension > 2)
        assert (told["plane"] is None) is (told["explained"] is None) is (not told["slice"])


def flat(part: Any) -> list[Any]:
    return [leaf for inner in part for leaf in flat(inner)] if isinstance(part, list) else [part]


@pytest.mark.parametrize(("name", "problem"), NOT_ASKED)
def test_no_probe_answers_of_a_problem_that_it_does_not_fit(name, problem):
    with pytest.raises(SpecError) as caught:
        so.run(problem={"name": problem}, optimizers=[{"name": "gradient-descent"}], probes=[{"name": name}])
    assert caught.value.message == f"{name} does not fit {problem}: {reasons(PROBES)[name, problem]}"
    assert caught.value.at == "probes[0]"
