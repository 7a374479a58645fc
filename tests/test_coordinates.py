"""Optimizers at work in other coordinates: what theory says stays the same does, and what it says differs differs.

Each run has every optimizer twice, in w and in w̃, told in w; steps are also taken by hand in the transformed problem.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.coordinates import Affine, Inputs, Reparameterized
from secondorder.core import TOY, Batch, Objective
from secondorder.program import step_key
from secondorder.spec import parse
from tests.optimizers.test_invariance import Reparameterized as ByHand
from tests.oracles import gradient_of, make_optimizer, make_problem, path, small, value

R = np.array([[1.5, 1.0], [-0.4, 0.8]])
B = np.array([0.4, -0.7])
THERE = {"matrix": R.tolist(), "shift": B.tolist()}
ETA = [0.0, 0.5]


def twice(*optimizers: dict[str, Any], there: dict[str, Any] = THERE) -> list[dict[str, Any]]:
    """Each optimizer in w, then in other coordinates."""
    return [entry for own in optimizers for entry in (own, {**own, "coordinates": there})]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """max_k ‖difference‖ / max_k ‖w_k‖, as far as both go."""
    n = min(len(one), len(other))
    apart = np.linalg.norm(one[:n] - other[:n], axis=1)
    return float(np.max(apart) / np.max(np.linalg.norm(one[:n], axis=1)))


@pytest.fixture(scope="module")
def rosenbrock() -> dict[str, list[Any]]:
    """Pairs of lanes (own coordinates, others) by the optimizer's name."""
    assert np.linalg.cond(R) < 10
    lanes = so.run(
        problem={"name": "rosenbrock"},
        start=[-1.2, 1.0],
        steps=50,
        tolerance=0.0,
        optimizers=twice(
            {"name": "newton"},
            {"name": "gauss-newton", "damping": ETA},
            {"name": "gradient-descent", "rate": 1e-3},
            {"name": "adam", "rate": 0.1},
        ),
    ).lanes
    found: dict[str, list[Any]] = {}
    for lane in lanes:
        found.setdefault(lane.optimizer, []).append(lane)
    return found


@pytest.fixture(scope="module")
def natural() -> list[Any]:
    asked = twice({"name": "natural-gradient", "damping": ETA})
    return so.run(problem={"name": "logistic-cost"}, start=[2.0, -1.0], steps=50, tolerance=0.0, optimizers=asked).lanes


def test_undamped_second_order_methods_take_the_same_path(rosenbrock, natural):
    assert difference(*(lane.w for lane in rosenbrock["newton"])) < 1e-9
    assert difference(rosenbrock["gauss-newton"][0].w, rosenbrock["gauss-newton"][2].w) < 1e-9
    assert difference(natural[0].w, natural[2].w) < 1e-9


def test_damped_ones_and_gradients_do_not(rosenbrock, natural):
    assert difference(rosenbrock["gauss-newton"][1].w, rosenbrock["gauss-newton"][3].w) > 1e-3
    assert difference(natural[1].w, natural[3].w) > 1e-3
    for name in ("gradient-descent", "adam"):
        assert difference(*(lane.w for lane in rosenbrock[name])) > 1e-3


def test_gradient_descent_there_is_preconditioned_by_r_rt(rosenbrock):
    """w ← w - αRRᵀg, and the shift does not matter."""
    J, w = Objective(make_problem("rosenbrock"), TOY), np.array([-1.2, 1.0])
    lane = rosenbrock["gradient-descent"][1]
    assert lane.step == 50
    for k in range(51):
        np.testing.assert_allclose(lane.w[k], w, rtol=1e-12)
        w = w - 1e-3 * R @ R.T @ np.asarray(gradient_of(J, w))


def test_steps_taken_by_hand_in_the_transformed_problem_are_the_same(rosenbrock):
    problem = ByHand(make_problem("rosenbrock"), R, B)
    start = problem.there(np.array([-1.2, 1.0]))
    steps = path(make_optimizer("gauss-newton", damping=0.5), Objective(problem, TOY), start, 50)
    assert difference(problem.back(steps), rosenbrock["gauss-newton"][3].w) < 1e-12


def test_what_is_told_is_in_the_problems_own_weights(rosenbrock):
    J = Objective(make_problem("rosenbrock"), TOY)
    for own, there in (rosenbrock["gradient-descent"], rosenbrock["adam"]):
        np.testing.assert_allclose(there.w[0], own.w[0], rtol=1e-15)
        for k in (0, 1, 30, 50):
            g = np.asarray(gradient_of(J, there.w[k]))
            assert there.loss[k] == pytest.approx(float(value(J, there.w[k])), rel=1e-12)
            assert there.gradient_norm[k] == pytest.approx(np.linalg.norm(g), rel=1e-12)
            if k < 50:
                δ = there.w[k + 1] - there.w[k]
                assert there.step_norm[k + 1] == pytest.approx(np.linalg.norm(δ), rel=1e-9)
                assert there.slope[k + 1] == pytest.approx(g @ δ, rel=1e-9)
        assert own.coordinates is None
        assert there.coordinates == THERE


def test_moving_the_coordinates_traces_and_compiles_nothing():
    counted: list[str] = []

    def count(event: str, duration_secs: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            counted.append(event)

    def run(a: float, b: float, s: float) -> None:
        there = {"matrix": [[1, a], [0, 2]], "shift": [b, 0]}
        one = {"name": "gradient-descent", "rate": [0.1, 0.2], "coordinates": there}
        so.run(problem={"name": "quadratic"}, optimizers=[one], steps=5)
        other = {"name": "gradient-descent", "coordinates": {"inputs": {"scale": s, "shift": b}}}
        so.run(problem={"name": "regression-network"}, optimizers=[other], steps=2)

    run(0.5, 0.0, 1.0)
    jax.monitoring.register_event_duration_secs_listener(count)
    for i in range(1, 10):
        run(0.1 * i, i, 2.0 * i)
    jax.monitoring.unregister_event_duration_listener(count)
    assert counted == []


# --- a network's inputs in other units ------------------------------------------------------------------------------

SCALE, SHIFT = 3.0, 2.0
INPUTS = {"inputs": {"scale": SCALE, "shift": SHIFT}}
LAMBDA = [0.0, 1e-8, 1e-6, 1e-4]
# Small enough that no factor is singular: no pixel is the same in all images.
CURVES: dict[str, Any] = {"side": 4, "widths": (16, 3, 16), "images": 100, "dtype": "float64", "l2": 0.0}


@pytest.fixture(scope="module")
def curves() -> dict[str, list[Any]]:
    exact = {"name": "kfac", "inverse": "eigen", "statistics": "exact", "adapt": "fixed", "damping": LAMBDA}
    lanes = so.run(
        problem={"name": "curves-autoencoder", **CURVES},
        steps=20,
        tolerance=0.0,
        optimizers=twice(exact, {"name": "gradient-descent"}, there=INPUTS),
    ).lanes
    return {name: [lane for lane in lanes if lane.optimizer == name] for name in ("kfac", "gradient-descent")}


def moved(w: np.ndarray, scale: float = SCALE, shift: float = SHIFT) -> np.ndarray:
    """w̃ of a curves autoencoder: W̃₁ = W₁/s and b̃₁ = b₁ - W̃₁ c·1, written by hand."""
    first = w[: 3 * 17].reshape(3, 17).copy()
    first[:, :16] /= scale
    first[:, 16] -= first[:, :16] @ np.full(16, shift)
    return np.concatenate([first.ravel(), w[3 * 17 :]])


def test_on_other_inputs_the_network_computes_the_same():
    problem = make_problem("curves-autoencoder", **CURVES)
    x, w = problem.data(0).train.inputs, problem.start(0)
    there = np.asarray(Inputs(SCALE, SHIFT).into(problem, w))
    np.testing.assert_allclose(there, moved(w), rtol=1e-14)
    here, tilde = problem.outputs(w, x), problem.outputs(there, SCALE * x + SHIFT)
    np.testing.assert_allclose(tilde, here, rtol=1e-12, atol=1e-12)


def test_undamped_kfac_does_not_feel_the_units_of_the_inputs(curves):
    """Martens & Grosse 2015, theorem 1; damped it does, in proportion to λ while that is small."""
    lanes = [lane.w for lane in curves["kfac"]]
    apart = [difference(lanes[i], lanes[i + len(LAMBDA)]) for i in range(len(LAMBDA))]
    assert apart[0] < 1e-11
    assert apart[2] / apart[1] == pytest.approx(100, rel=0.02)
    assert apart[3] / apart[2] == pytest.approx(100, rel=0.2)
    assert apart[3] > 1e-3


def test_gradient_descent_does(curves):
    here, there = curves["gradient-descent"]
    assert there.loss[0] == pytest.approx(here.loss[0], rel=1e-14)
    assert difference(here.w, there.w) > 1e-1


def test_gradient_descent_on_other_inputs_is_that_of_the_transformed_problem(curves):
    problem = make_problem("curves-autoencoder", **CURVES)
    x, t = problem.data(0).train
    optimizer = make_optimizer("gradient-descent", rate=problem.rate)
    steps = path(optimizer, Objective(problem, Batch(SCALE * x + SHIFT, t)), moved(problem.start(0)), 20)
    # And back: the inverse of a change of units is another one.
    back = np.array([moved(w, 1 / SCALE, -SHIFT / SCALE) for w in steps])
    assert difference(back, curves["gradient-descent"][1].w) < 1e-12


# --- methods that look at more than the cost ------------------------------------------------------------------------

LOOKING = {
    "kfac": make_optimizer("kfac", damping=0.5, adapt_gamma=False, adapt="fixed"),
    "lbfgs": make_optimizer("lbfgs"),
    "pullback-diagonal": make_optimizer("pullback-diagonal"),
    "on the batch before": make_optimizer("proximal", rate=0.1, distance_on="previous", solver="gradient"),
}


@pytest.mark.parametrize("name", LOOKING)
def test_each_looks_at_the_network_whose_inputs_are_in_other_units(name):
    """Statistics, random targets and examples that it remembers included: two steps, the second on other examples."""
    optimizer, (J, w) = LOOKING[name], small("regression-network")
    problem = make_problem("regression-network")
    x, t = (np.asarray(part) for part in J.batch)
    key, inputs = step_key(jnp.uint32(3), 0), Inputs(SCALE, SHIFT)

    @jax.jit
    def two(optimizer, first, second, w):
        step = optimizer.step(first, w, optimizer.init(first, w))
        return step.delta, optimizer.step(second, w + step.delta, step.state).delta

    def batches(scale, shift):
        return [Objective(problem, Batch(scale * x[part] + shift, t[part]), k, key)
                for k, part in enumerate((slice(0, 10), slice(10, 20)))]  # fmt: skip

    found = two(Reparameterized(optimizer, inputs), *batches(1.0, 0.0), w)
    expected = two(optimizer, *batches(SCALE, SHIFT), inputs.into(problem, w))
    for here, there in zip(found, expected, strict=True):
        # The first layer's step, by hand: W₁ = s W̃₁ and b₁ = b̃₁ + c W̃₁.
        there, W = np.array(there), np.array(there)[:32:2].copy()
        there[:32:2] = SCALE * W
        there[1:32:2] += SHIFT * W
        np.testing.assert_allclose(here, there, rtol=1e-9, atol=1e-12 * np.abs(there).max())


def test_in_coordinates_that_mix_weights_there_are_no_layers():
    problem = make_problem("logistic-regression", features=("mean radius",), l2=0.0)
    there = Affine.of(R, B).problem(problem)
    assert problem.network is not None
    assert there.network is None
    told = (there.dimension, there.examples, there.output_size, there.kind, there.dtype, there.predicts)
    assert told == (2, 569, 1, "data", "float64", True)
    assert there.likelihood is problem.likelihood


def test_a_batch_that_grows_grows_there_too():
    growing = {"name": "kfac", "first_batch": 100, "full_at": 50}
    asked = {"problem": {"name": "digits-classifier", "batch": 0}, "optimizers": twice(growing, there={"inputs": {}})}
    spec = parse(asked)
    here, there = (group.optimizer(group.lanes[0]) for group in spec.groups)
    assert len(here.batches(spec.problem, 60)) > 3
    assert there.batches(spec.problem, 60) == here.batches(spec.problem, 60)
    assert there.price(spec.problem.dimension) == here.price(spec.problem.dimension)
    assert there.room(spec.problem) > here.room(spec.problem)


def test_its_damping_is_none_of_w():
    """η‖δ̃‖² is no multiple of ‖δ‖²: a probe that took η for one of w would show a step that is not taken."""
    optimizer, state = make_optimizer("damped-newton"), np.float64(0.1)
    assert optimizer.damping_now(state) == 0.1
    assert np.isnan(Reparameterized(optimizer, Affine.of(R, B)).damping_now(state))
