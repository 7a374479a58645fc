"""Conjugate gradients inside a step, against numpy on the written-out matrix, and their bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.core import Batch, Objective
from secondorder.curvature.empirical_diagonal import preconditioner
from tests.oracles import gauss_newton_of, gradient_of, hessian_of, make_problem, value
from tests.probes import asking

FIELDS = {"dtype": "float64", "l2": 0.01, "held_out": 0.9}
PROBLEM = {"name": "digits-classifier", "widths": [64, 4, 10]} | FIELDS
η, K = 0.05, 6


class Known:
    """The quadratic of the classifier above, written out."""

    def __init__(self):
        problem = make_problem("digits-classifier", widths=(64, 4, 10), **FIELDS)
        self.w = problem.start(3)
        self.J = Objective(problem, Batch(*problem.data(0).train))
        self.g = np.asarray(gradient_of(self.J, self.w))
        self.G = np.asarray(gauss_newton_of(self.J, self.w)) + 0.01 * np.eye(len(self.w))
        self.A = self.G + η * np.eye(len(self.w))
        self.M = np.asarray(jax.jit(preconditioner)(self.J, self.w, η))
        self.solution = -np.linalg.solve(self.A, self.g)

    def iterates(self, M: np.ndarray, conjugate: bool) -> np.ndarray:
        v, r, vs = np.zeros_like(self.g), self.g, [np.zeros_like(self.g)]
        p = -r / M
        for _ in range(K):
            α = (r @ (r / M)) / (p @ self.A @ p)
            v, r_next = v + α * p, r + α * self.A @ p
            β = (r_next @ (r_next / M)) / (r @ (r / M)) if conjugate else 0.0
            p, r = -r_next / M + β * p, r_next
            vs.append(v)
        return np.array(vs)


@pytest.fixture(scope="module")
def known():
    return Known()


@pytest.fixture(scope="module")
def told(known):
    return asking.at(PROBLEM, known.w, name="cg-trace", iterations=K, damping=η)


@pytest.mark.parametrize(
    ("name", "preconditioned", "conjugate"),
    [("conjugate-gradient", False, True), ("preconditioned", True, True), ("gradient-descent", False, False)],
)
def test_every_iterate_of_every_method_is_told(known, told, name, preconditioned, conjugate):
    (curve,) = (curve for curve in told["curves"] if curve["name"] == name)
    vs = known.iterates(known.M if preconditioned else np.ones_like(known.g), conjugate)
    assert {len(curve[column]) for column in ("quadratic", "residual", "error", "loss")} == {K + 1}
    assert curve["ended"] == "budget"
    np.testing.assert_allclose(curve["quadratic"], [v @ known.A @ v / 2 + known.g @ v for v in vs], rtol=1e-7)
    np.testing.assert_allclose(curve["residual"], [np.linalg.norm(known.A @ v + known.g) for v in vs], rtol=1e-7)
    errors = vs - known.solution
    np.testing.assert_allclose(curve["error"], [np.sqrt(e @ known.A @ e) for e in errors], rtol=1e-6)
    np.testing.assert_allclose(curve["loss"], [value(known.J, known.w + v) for v in vs], rtol=1e-8)


def test_condition_numbers_are_exact_up_to_1000_weights(known, told):
    ν = np.linalg.eigvalsh(known.A)
    root = np.sqrt(known.M)
    scaled = np.linalg.eigvalsh(known.A / root[:, None] / root)
    assert (told["method"], told["lanczos_iterations"], told["step_size"]) == ("exact", None, "exact")
    assert (told["iterations"], told["damping"], told["matrix"]) == (K, η, "gauss-newton")
    np.testing.assert_allclose(told["extremes"], ν[[0, -1]], rtol=1e-10)
    assert np.isclose(told["condition"], ν[-1] / ν[0], rtol=1e-10)
    assert np.isclose(told["preconditioned_condition"], scaled[-1] / scaled[0], rtol=1e-8)
    lowest = known.g @ known.solution / 2
    assert np.isclose(told["lowest"], lowest, rtol=1e-10)


def hold(told):
    """The bounds hold, and are the formulas."""
    κ, k = told["condition"], np.arange(len(told["bounds"]["gradient-descent"]))
    np.testing.assert_allclose(told["bounds"]["gradient-descent"], ((κ - 1) / (κ + 1)) ** k)
    root = np.sqrt(κ)
    np.testing.assert_allclose(told["bounds"]["conjugate-gradient"], 2 * ((root - 1) / (root + 1)) ** k)
    curves = {curve["name"]: np.asarray(curve["error"]) for curve in told["curves"]}
    for name, bound in told["bounds"].items():
        error = curves[name]
        assert np.all(error <= (bound[: len(error)] + 1e-9) * error[0]), name


def test_the_errors_stay_below_the_bounds(told):
    hold(told)


@pytest.mark.parametrize("condition", [4, 1e3, 1e6])
def test_bounds_hold_on_quadratics_of_any_condition(condition):
    told = asking.at({"name": "quadratic", "condition": condition, "size": 20}, [1.0] * 20, name="cg-trace")
    assert np.isclose(told["condition"], condition, rtol=1e-6)
    hold(told)
    assert told["damping"] == 0


def test_it_is_damped_as_the_lane_is(sliced):
    damped, without = (asking.of(sliced, lane, 2, name="cg-trace") for lane in (0, 1))
    assert (damped["damping"], without["damping"]) == (0.05, 0)
    assert np.isclose(damped["extremes"][0] - 0.05, asking.of(sliced, 0, 2, name="cg-trace", damping=0)["extremes"][0])


def test_with_more_weights_it_is_estimated_and_says_so():
    """1210 weights: κ from a Ritz value and a bound is at least the exact one; the minimizer is iterated for."""
    fields = {"dtype": "float64", "l2": 1e-5, "held_out": 0.9}
    problem = make_problem("digits-classifier", widths=(64, 16, 10), **fields)
    w = problem.start(0)
    J = Objective(problem, Batch(*problem.data(0).train))
    asked = {"name": "digits-classifier", "widths": [64, 16, 10]} | fields
    told = asking.at(asked, w, name="cg-trace", iterations=20, damping=0.2)
    A = np.asarray(gauss_newton_of(J, w)) + (0.2 + 1e-5) * np.eye(len(w))
    ν, g = np.linalg.eigvalsh(A), np.asarray(gradient_of(J, w))
    assert (told["method"], told["lanczos_iterations"]) == ("lanczos", 100)
    assert np.isclose(told["extremes"][0], 0.2 + 1e-5)
    assert np.isclose(told["extremes"][1], ν[-1], rtol=1e-9)
    assert told["condition"] * (1 + 1e-9) >= ν[-1] / ν[0]
    solution = -np.linalg.solve(A, g)
    assert np.isclose(told["lowest"], g @ solution / 2, rtol=1e-8)
    first = told["curves"][0]
    assert np.isclose(first["error"][0], np.sqrt(solution @ A @ solution), rtol=1e-8)
    gaps = np.asarray(first["quadratic"]) - g @ solution / 2
    np.testing.assert_allclose(np.square(first["error"]) / 2, gaps, rtol=1e-5, atol=1e-14)
    hold(told)


def test_negative_curvature_ends_a_curve_and_leaves_no_bound():
    w = [0.5, 3.0]  # of Himmelblau: one negative eigenvalue, the first direction's curvature is positive
    J = Objective(make_problem("himmelblau"), Batch(np.zeros((1, 0)), np.zeros((1, 1))))
    assert np.linalg.eigvalsh(np.asarray(hessian_of(J, jnp.asarray(w))))[0] < 0
    told = asking.at({"name": "himmelblau"}, w, name="cg-trace", matrix="hessian")
    conjugate, *_, descent = told["curves"]
    assert (conjugate["ended"], len(conjugate["loss"])) == ("negative curvature", 2)
    assert descent["ended"] in ("negative curvature", "budget")
    assert told["bounds"] is None
    assert np.isnan(told["condition"])
    assert np.isnan(conjugate["error"]).all()
    assert np.isnan(told["lowest"])


def test_of_a_singular_matrix_the_solution_in_its_range_is_the_reference():
    """Undamped, with 20 examples of one output: G has rank 20, g lies in its range, and there is no bound."""
    problem = {"name": "regression-network", "size": 20}
    w = make_problem("regression-network", size=20).start(0)
    told = asking.at(problem, w, name="cg-trace", iterations=200, damping=0)
    assert told["extremes"][0] == 0
    assert told["bounds"] is None
    curve = told["curves"][0]
    assert np.isclose(curve["quadratic"][-1], told["lowest"], rtol=1e-2)
    assert curve["error"][-1] < 0.1 * curve["error"][0]
