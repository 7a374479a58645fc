"""Preconditioned gradient descent against gradient descent in the coordinates that it implies, done by hand."""

from typing import Any

import jax
import numpy as np
import pytest

import secondorder as so
from secondorder.optimizers.preconditioned_gradient import PreconditionedGradient
from secondorder.preconditioning import FACTORS, coordinates
from secondorder.run import RunLane
from secondorder.spec import SpecError
from tests.oracles import gauss_newton_of, hessian_of, make_optimizer, make_problem, objective

FEATURES = ["mean radius", "mean texture", "worst area"]
LOGISTIC = {"name": "logistic-regression", "features": FEATURES, "l2": 0.01}
QUADRATIC: dict[str, Any] = {"name": "quadratic", "size": 4, "condition": 1e3}
REFUSED = "the damped matrix C + ηI is not positive definite at step 0"
coordinates_jit: Any = jax.jit(coordinates, static_argnums=(2, 3))


def run(problem: dict[str, Any], steps: int = 30, start: Any = None, **fields: Any) -> RunLane:
    """The lane of preconditioned gradient descent; it takes all its steps unless it has to stop."""
    return other(problem, steps, start, name="preconditioned-gradient", **fields)


def other(problem: dict[str, Any], steps: int, start: Any = None, **optimizer: Any) -> RunLane:
    given: dict[str, Any] = {} if start is None else {"start": list(start)}
    return so.run(problem=problem, optimizers=[optimizer], steps=steps, tolerance=0, **given).lanes[0]


def objective_of(problem: dict[str, Any]) -> Any:
    fields: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in problem.items()}
    return objective(make_problem(**fields))


def apart(a: RunLane, b: RunLane) -> float:
    """max_k ‖difference‖ / max_k ‖w_k‖."""
    return float(np.max(np.linalg.norm(a.w - b.w, axis=1)) / np.max(np.linalg.norm(a.w, axis=1)))


CASES = [
    (QUADRATIC, {"matrix": "hessian", "damping": 0.0, "rate": 0.4, "refresh": 0}),
    (QUADRATIC, {"matrix": "diagonal", "damping": 0.02, "rate": 0.4, "refresh": 0}),
    ({"name": "rosenbrock"}, {"matrix": "gauss-newton", "damping": 0.1, "rate": 0.7}),
    ({"name": "himmelblau"}, {"matrix": "hessian", "damping": 40.0, "rate": 1.0, "refresh": 3}),
    (LOGISTIC, {"matrix": "fisher", "damping": 0.01, "rate": 0.8, "refresh": 7}),
    (LOGISTIC, {"matrix": "empirical-fisher", "damping": 0.1, "rate": 0.3, "refresh": 0}),
    ({"name": "linear-regression"}, {"matrix": "gauss-newton", "damping": 0.0, "rate": 0.5}),
]


@pytest.mark.parametrize(("problem", "fields"), CASES, ids=lambda part: part.get("name", part.get("matrix")))
def test_either_factor_takes_the_same_path(problem, fields):
    cholesky, root = (run(problem, 50, factor=factor, **fields) for factor in FACTORS)
    assert cholesky.status == root.status == "budget"
    assert cholesky.loss[-1] < cholesky.loss[0]
    assert apart(cholesky, root) < 1e-10


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_with_the_hessian_itself_the_new_coordinates_have_condition_number_1(factor, size, condition):
    J = objective(make_problem("quadratic", size=size + 1, condition=condition))
    w = np.ones(size + 1)
    R, indefinite = coordinates_jit(J, w, "hessian", factor, 0.0)
    assert not indefinite
    H = np.asarray(hessian_of(J, w))
    H_tilde = R.T @ H @ R
    assert np.linalg.cond(H) == pytest.approx(condition, rel=1e-8)
    assert np.linalg.cond(H_tilde) == pytest.approx(1, abs=1e-14 * condition + 1e-13)
    np.testing.assert_allclose(H_tilde, np.eye(size + 1), atol=1e-14 * condition + 1e-13)


@pytest.mark.parametrize("factor", FACTORS)
def test_without_a_matrix_a_step_is_gradient_descents_bit_for_bit(factor):
    for name in ("rosenbrock", "logistic-regression"):
        J = objective(make_problem(name))
        w = np.linspace(-1, 1, J.problem.dimension)
        ours = make_optimizer("preconditioned-gradient", rate=0.3, damping=0.0, matrix="identity", factor=factor)
        plain = make_optimizer("gradient-descent", rate=0.3)
        np.testing.assert_array_equal(ours.step(J, w, ours.init(J, w)).delta, plain.step(J, w, ()).delta)


def test_without_a_matrix_a_run_is_gradient_descents():
    """But for the last bit: compiled, the products that make w + δ are fused otherwise."""
    for problem, rate in (({"name": "rosenbrock"}, 1e-3), (LOGISTIC, 0.3)):
        plain = other(problem, 40, name="gradient-descent", rate=rate)
        same = run(problem, 40, matrix="identity", damping=0.0, rate=rate, refresh=0)
        np.testing.assert_allclose(same.w, plain.w, rtol=1e-14, atol=1e-15)
        np.testing.assert_array_equal(same.passes, plain.passes)


METHODS = [
    ("newton", "hessian", {"name": "quadratic", "condition": 1e4}, None, 0.0),
    ("newton", "hessian", {"name": "logistic-cost"}, [2.0, -1.0], 0.0),
    ("damped-newton", "hessian", {"name": "logistic-cost"}, [3.0, -1.0], 0.1),
    ("damped-newton", "hessian", LOGISTIC, None, 0.05),
    ("gauss-newton", "gauss-newton", {"name": "rosenbrock"}, None, 0.1),
    ("natural-gradient", "fisher", LOGISTIC, None, 0.01),
]


@pytest.mark.parametrize(("name", "matrix", "problem", "start", "η"), METHODS)
def test_refreshed_at_every_step_and_with_rate_1_it_is_the_second_order_method(name, matrix, problem, start, η):
    damping = {} if name == "newton" else {"damping": η}
    theirs = other(problem, 6, start, name=name, **damping)
    ours = run(problem, 6, start, matrix=matrix, damping=η, rate=1.0, refresh=1)
    assert apart(theirs, ours) < 1e-10


@pytest.mark.parametrize(("problem", "fields"), CASES, ids=lambda part: part.get("name", part.get("matrix")))
def test_the_path_is_gradient_descent_on_j_tilde_mapped_back(problem, fields):
    """J̃(w̃) = J(Rw̃ + b) with R from numpy and some b: w̃ ← w̃ - α∇J̃, and w = Rw̃ + b."""
    fields = {"refresh": 1} | fields
    lane, J = run(problem, 20, factor="square-root", **fields), objective_of(problem)
    w, η, every = lane.w[0], fields["damping"], fields["refresh"]
    L = np.diag(np.broadcast_to(J.problem.l2_diagonal(), len(w)))
    gradient = jax.jit(jax.grad(lambda w_tilde, R, b: J(R @ w_tilde + b)))
    for k in range(20):
        if k == 0 or (every and k % every == 0):
            C = measured(J, w, fields["matrix"]) + L * (fields["matrix"] != "hessian") + η * np.eye(len(w))
            R, b = np.linalg.cholesky(np.linalg.inv(C)), np.arange(len(w)) - 1.0
            w_tilde = np.linalg.solve(R, w - b)
        w_tilde = w_tilde - fields["rate"] * np.asarray(gradient(w_tilde, R, b))
        w = R @ w_tilde + b
        np.testing.assert_allclose(lane.w[k + 1], w, rtol=1e-9, atol=1e-10)


def measured(J: Any, w: np.ndarray, matrix: str) -> np.ndarray:
    """C at w: of likelihoods like these F = G, and the empirical Fisher is the gradients' mean outer product."""
    if matrix == "hessian":
        return np.asarray(hessian_of(J, w))
    if matrix == "empirical-fisher":
        x, t = J.batch
        X = np.column_stack([x, np.ones(len(x))])
        rows = X * (1 / (1 + np.exp(-X @ w)) - t[:, 0])[:, None]
        return rows.T @ rows / len(rows)
    G = np.asarray(gauss_newton_of(J, w))
    return np.diag(np.diag(G)) if matrix == "diagonal" else G


def test_a_matrix_that_is_never_refreshed_is_the_starts():
    """On the logistic cost H is diagonal: δ = -α tanh(x/2) / (sech²(x₀/2)/2 + η), with x₀ of the last refreshment."""
    for every in (0, 1, 4):
        lane = run({"name": "logistic-cost"}, 12, [1.5, -1.0], matrix="hessian", damping=0.3, refresh=every, rate=0.5)
        x = lane.w
        for k in range(12):
            held = x[k - k % every if every else 0]
            δ = -0.5 * np.tanh(x[k] / 2) / (1 / np.cosh(held / 2) ** 2 / 2 + 0.3)
            np.testing.assert_allclose(x[k + 1], x[k] + δ, rtol=1e-12)


@pytest.mark.parametrize(
    ("problem", "matrix", "cost"),
    [(QUADRATIC, "hessian", 4), (QUADRATIC, "identity", 0), (LOGISTIC, "diagonal", 1), (LOGISTIC, "fisher", 4)],
)
def test_a_matrix_costs_passes_where_it_is_measured(problem, matrix, cost):
    for every, due in ((0, [0]), (1, range(6)), (3, [0, 3])):
        lane = run(problem, 6, matrix=matrix, refresh=every)
        np.testing.assert_array_equal(np.diff(lane.passes), [1 + cost * (k in due) for k in range(6)])


def test_on_a_rotated_bowl_the_diagonal_is_worth_little_and_on_a_straight_one_all():
    straight, turned = (
        run({"name": "quadratic", "condition": 100, "rotation": θ}, 5, matrix="diagonal", damping=0.0)
        for θ in (0.0, 0.78)
    )
    assert straight.loss[1] < 1e-25 * straight.loss[0]
    assert turned.loss[5] > 0.5 * turned.loss[0]


def test_lanes_of_a_sweep_agree_with_each_alone():
    rates, dampings = [0.3, 1.0], [0.01, 1.0]
    fields = {"name": "preconditioned-gradient", "matrix": "fisher", "refresh": 4}
    lanes = so.run(problem=LOGISTIC, optimizers=[fields | {"rate": rates, "damping": dampings}], steps=10).lanes
    assert len(lanes) == 4
    for lane, (α, η) in zip(lanes, [(α, η) for α in rates for η in dampings], strict=True):
        alone = run(LOGISTIC, 10, matrix="fisher", refresh=4, rate=α, damping=η)
        np.testing.assert_allclose(lane.w, alone.w, rtol=1e-10, atol=1e-12)


# At (½, 1) Beale's first column of Jacobians is 0; at (-0.2, -1) Himmelblau's H is negative definite.
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    ("problem", "start", "matrix", "η"),
    [
        ({"name": "himmelblau"}, [-0.2, -1.0], "hessian", 1.0),
        ({"name": "himmelblau"}, [0.1, 2.9], "hessian", 0.0),
        ({"name": "beale"}, [0.5, 1.0], "gauss-newton", 0.0),
        ({"name": "beale"}, [0.5, 1.0], "diagonal", 0.0),
        ({"name": "logistic-cost", "size": 3}, [800.0, 1.0, 0.0], "fisher", 0.0),
        ({"name": "logistic-cost", "size": 3}, [1.0, 2.0, 0.5], "empirical-fisher", 0.0),
    ],
)
def test_a_matrix_that_is_not_positive_definite_is_refused_by_name(factor, problem, start, matrix, η):
    lane = run(problem, 5, start, matrix=matrix, damping=η, factor=factor)
    assert (lane.status, lane.step, lane.reason) == ("stopped", 0, REFUSED)


def test_enough_damping_helps():
    lane = run({"name": "himmelblau"}, 5, [-0.2, -1.0], matrix="hessian", damping=100.0)
    assert (lane.status, lane.step) == ("budget", 5)
    assert lane.loss[-1] < lane.loss[0]


def test_a_matrix_that_loses_its_definiteness_on_the_way_is_refused_there():
    """Away from the bowl of Himmelblau's function; the step is refused only where C is measured."""
    fields = {"matrix": "hessian", "damping": 0.0, "rate": 5.0}
    fresh, kept = (run({"name": "himmelblau"}, 3, [3.3, 2.2], refresh=every, **fields) for every in (1, 0))
    assert fresh.status in ("stopped", "diverged")
    assert fresh.step > 0
    assert fresh.reason == REFUSED.replace("step 0", f"step {fresh.step}")
    assert kept.step == 3


def test_it_needs_outputs_with_a_convex_loss_and_not_too_many_weights():
    assert "convex loss" in str(PreconditionedGradient.fit(make_problem("saddle")))
    assert "at most 3000 weights" in str(PreconditionedGradient.fit(make_problem("digits-autoencoder")))
    assert PreconditionedGradient.fit(make_problem("rosenbrock")) is None


@pytest.mark.parametrize("matrix", ["fisher", "empirical-fisher"])
def test_a_problem_without_the_matrix_is_refused_by_name(matrix):
    with pytest.raises(SpecError, match=f"rosenbrock has no {matrix} matrix") as caught:
        run({"name": "rosenbrock"}, matrix=matrix)
    assert caught.value.at == "optimizers[0].matrix"
