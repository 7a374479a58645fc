"""Hessian-free optimization against a plain one in numpy, its closed forms, and what each of its parts promises."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder import program
from secondorder.cg import Solution, Trace
from secondorder.optimizers.hessian_free import HessianFree, State, backtrack, shorten
from tests.oracles import (
    gauss_newton_of,
    gradient_of,
    hessian_of,
    make_optimizer,
    make_problem,
    objective,
    small,
)

# --- a plain one, in numpy --------------------------------------------------------------------------------------------


class Net(NamedTuple):
    """½ mean squared error of a 1-16-16-1 tanh network, with its derivatives by hand."""

    x: np.ndarray  # (B, 1)
    t: np.ndarray
    l2: float

    def layers(self, w):
        parts, at = [], 0
        for out, into in ((16, 1), (16, 16), (1, 16)):
            W = w[at : at + out * (into + 1)].reshape(out, into + 1)
            parts.append((W[:, :into], W[:, into]))
            at += W.size
        return parts

    def forward(self, w):
        (W1, b1), (W2, b2), (W3, b3) = self.layers(w)
        a1 = np.tanh(self.x @ W1.T + b1)
        a2 = np.tanh(a1 @ W2.T + b2)
        return a1, a2, a2 @ W3.T + b3

    def cost(self, w) -> float:
        return float(np.mean((self.forward(w)[2] - self.t) ** 2) / 2 + self.l2 / 2 * w @ w)

    def jacobian(self, w) -> np.ndarray:
        """dz/dw of every example, (B, 321)."""
        (_, _), (W2, _), (W3, _) = self.layers(w)
        a1, a2, _ = self.forward(w)
        d2 = W3 * (1 - a2**2)
        d1 = (d2 @ W2) * (1 - a1**2)
        blocks = []
        for d, a in ((d1, self.x), (d2, a1), (np.ones((len(a2), 1)), a2)):
            ones = np.ones((len(a), 1))
            blocks.append((d[:, :, None] * np.concatenate([a, ones], 1)[:, None, :]).reshape(len(a), -1))
        return np.concatenate(blocks, axis=1)


def plain_step(net: Net, w, λ, warm, *, iterations, ζ) -> dict[str, Any]:
    """One step of Martens 2010 at the weights w, with the damping λ and the last solution ``warm``."""
    Jzw, z, B = net.jacobian(w), net.forward(w)[2], len(net.x)
    gradients = (z - net.t) * Jzw  # one example's a row
    g = gradients.mean(axis=0) + net.l2 * w
    C = Jzw.T @ Jzw / B + net.l2 * np.eye(len(w))
    A = C + λ * np.eye(len(w))
    M = ((gradients**2).mean(axis=0) + λ + net.l2) ** 0.75

    v = ζ * warm
    r = A @ v + g
    p, φ, kept = -r / M, [v @ A @ v / 2 + g @ v], []
    milestones = {math.ceil(5 * 1.3**j) for j in range(40)}
    for i in range(1, iterations + 1):
        α = (r @ (r / M)) / (p @ A @ p)
        v, r_next = v + α * p, r + α * (A @ p)
        p = -r_next / M + (r_next @ (r_next / M)) / (r @ (r / M)) * p
        r = r_next
        φ.append(v @ A @ v / 2 + g @ v)
        k = max(10, math.ceil(0.1 * i))
        slow = i > k and φ[i] < 0 and (φ[i] - φ[i - k]) / φ[i] < k * 5e-4
        last = slow or i == iterations
        if i in milestones or last:
            kept.append((i, v))
        if last:
            break

    at, δ = kept.pop()
    evaluations = 1
    while kept:
        evaluations += 1
        if not net.cost(w + kept[-1][1]) < net.cost(w + δ):
            break
        at, δ = kept.pop()
    change = net.cost(w + δ) - net.cost(w)
    promised = g @ δ + δ @ C @ δ / 2
    ρ = -np.inf if change > 0 else change / promised
    rate, tries = 1.0, 0
    while net.cost(w + rate * δ) > net.cost(w) + 1e-2 * rate * g @ δ and tries < 60:
        rate, tries = 0.8 * rate, tries + 1
    return {
        "delta": rate * δ,
        "cg_iterations": i,
        "kept_iteration": at,
        "line_search_rate": rate,
        "rho": change / promised,
        "λ": λ * (2 / 3 if ρ > 3 / 4 else 3 / 2 if ρ < 1 / 4 else 1),
        "v": v,
        "passes": 1 + 1 + bool(ζ and warm.any()) + i + (evaluations + tries) / 3,
    }


take = jax.jit(lambda optimizer, J, w, state: optimizer.step(J, w, state))


# Rounding parts two runs of conjugate gradients, here by a factor of up to 100 an iteration: so few are taken, or the
# damping is large and they converge.
@pytest.mark.parametrize(
    ("λ", "K", "ζ", "scale", "seen"),
    [
        (1e-4, 7, 0.0, 6.0, {"backtracked"}),
        (1e-2, 5, 0.95, 3.0, {"shortened"}),
        (10.0, 250, 0.95, 0.3, {"stopped"}),
    ],
)
def test_every_step_is_the_plain_ones(λ, K, ζ, scale, seen):
    problem: Any = make_problem("regression-network", size=30, l2=1e-3)
    J = objective(problem)
    net = Net(*problem.data(0).train, l2=1e-3)
    optimizer = make_optimizer("hessian-free", damping=λ, iterations=float(K), warm_start=ζ)
    w = scale * problem.start(0)
    state = optimizer.init(J, jnp.asarray(w))
    found = set()
    for _ in range(8):
        step = take(optimizer, J, w, state)
        expected = plain_step(net, w, float(state.damping), np.asarray(state.v), iterations=K, ζ=ζ)
        size = np.abs(expected["v"]).max()
        np.testing.assert_allclose(step.delta, expected["delta"], atol=1e-7 * size)
        np.testing.assert_allclose(step.state.v, expected["v"], atol=1e-7 * size)
        for name in ("cg_iterations", "kept_iteration", "line_search_rate", "rho"):
            assert np.isclose(step.columns[name], expected[name], rtol=1e-6), name
        assert np.isclose(step.state.damping, expected["λ"], rtol=1e-12)
        assert np.isclose(step.passes, expected["passes"], rtol=1e-12)
        assert (step.columns["damping"], step.refused) == (state.damping, 0)
        found |= {"backtracked"} if expected["kept_iteration"] < expected["cg_iterations"] else set()
        found |= {"shortened"} if expected["line_search_rate"] < 1 else set()
        found |= {"stopped"} if expected["cg_iterations"] < K else set()
        w, state = w + np.asarray(step.delta), step.state
    assert found >= seen


# --- closed forms -----------------------------------------------------------------------------------------------------

PLAIN = {"adapt": "fixed", "precondition": False, "stop": False, "backtrack": False, "line_search": False}


@pytest.mark.parametrize("name", ["rosenbrock", "logistic-regression", "digits-autoencoder"])
def test_one_iteration_is_gradient_descent_with_the_exact_step_size(name):
    """K = 1 without preconditioner and warm start: δ = -(gᵀg / gᵀ(G + L + λI)g) g."""
    J, w = small(name)
    optimizer = make_optimizer("hessian-free", damping=0.3, iterations=1.0, warm_start=0.0, precondition=False)
    state = State(jnp.asarray(0.3), jnp.asarray(np.random.default_rng(0).standard_normal(len(w))))
    g, l2 = np.asarray(gradient_of(J, w)), np.asarray(J.problem.l2_diagonal()) * np.ones(len(w))
    curvature = g @ gauss_newton_of(J, w) @ g + g @ ((l2 + 0.3) * g)
    step = take(optimizer, J, w, state)
    assert step.columns["cg_iterations"] == 1
    δ = -(g @ g) / curvature * g
    np.testing.assert_allclose(step.delta, step.columns["line_search_rate"] * δ, rtol=1e-10)
    np.testing.assert_allclose(step.state.v, δ, rtol=1e-10)


@pytest.mark.parametrize("matrix", ["gauss-newton", "hessian"])
@pytest.mark.parametrize("precondition", [False, True])
def test_with_enough_iterations_it_is_the_damped_newton_step(matrix, precondition):
    J, w = small("digits-classifier")
    η = 1.0
    how = PLAIN | {"matrix": matrix, "precondition": precondition}
    optimizer = make_optimizer("hessian-free", damping=η, iterations=200.0, **how)
    dense = make_optimizer("gauss-newton" if matrix == "gauss-newton" else "damped-newton", damping=η)
    step = take(optimizer, J, w, optimizer.init(J, jnp.asarray(w)))
    δ = np.asarray(take(dense, J, w, dense.init(J, jnp.asarray(w))).delta)
    assert np.linalg.norm(step.delta - δ) <= 1e-9 * np.linalg.norm(δ)


@pytest.mark.parametrize("λ", [1e-12, 1e-9, 1e-4])
def test_down_to_the_least_damping_it_ends_at_the_minimum(λ):
    lane = so.run(
        problem={"name": "logistic-regression"}, optimizers=[{"name": "hessian-free", "damping": λ, "adapt": "fixed"}]
    ).lanes[0]
    assert lane.status == "converged"
    newton = so.run(problem={"name": "logistic-regression"}, optimizers=[{"name": "newton"}]).lanes[0]
    assert np.isclose(lane.loss[-1], newton.loss[-1], rtol=1e-14)


# --- its parts --------------------------------------------------------------------------------------------------------


def kept(*points: float) -> Solution:
    """As conjugate gradients leave it: one weight, these iterates."""
    nothing: Any = None
    trace = Trace(nothing, nothing, nothing, nothing, {})
    at = jnp.array([5, 7, 9, 11, 15][: len(points)])
    return Solution(nothing, nothing, nothing, nothing, trace, jnp.array(points)[:, None], at)


@pytest.mark.parametrize(
    ("costs", "chosen", "evaluations"),
    [
        ([5, 4, 3, 2, 1], 4, 2),
        ([5, 4, 1, 2, 3], 2, 4),
        ([1, 2, 3, 4, 5], 0, 5),
        ([0, 9, 1, 2, 3], 2, 4),  # over no hill
        ([5, 4, 3, 3, 3], 4, 2),  # not back where nothing is gained
        ([5, 4, math.inf, math.nan, math.inf], 1, 5),
        ([math.nan] * 5, 0, 5),
    ],
)
def test_it_goes_back_while_the_cost_falls(costs, chosen, evaluations):
    J: Any = lambda w: jnp.asarray(costs, float)[w[0].astype(int)]  # noqa: E731
    j, J_j, count = backtrack(J, jnp.zeros(1), kept(0.0, 1.0, 2.0, 3.0, 4.0), jnp.asarray(4))
    assert (int(j), int(count)) == (chosen, evaluations)
    np.testing.assert_equal(float(J_j), costs[chosen])


@pytest.mark.parametrize("δ", [1.0, 30.0, 1e4])
def test_the_step_is_shortened_until_the_cost_falls_sufficiently(δ):
    """J = ½(w - 1)² from 0: J(αδ) ≤ J(0) - 0.01 α δ for αδ ≤ 1.98."""
    J: Any = lambda w: jnp.sum((w - 1) ** 2) / 2  # noqa: E731
    step = jnp.array([δ])
    α, count = shorten(J, jnp.zeros(1), J(jnp.zeros(1)), -step[0], step, J(step))
    m = max(0, math.ceil(math.log(1.98 / δ, 0.8)))
    assert np.isclose(α, 0.8**m, rtol=1e-12)
    assert count == m


def test_a_step_that_no_shortening_mends_is_rejected_after_60_tries():
    J: Any = lambda w: jnp.where(w[0] == 0, 0.0, 1.0)  # noqa: E731
    α, count = shorten(J, jnp.zeros(1), jnp.asarray(0.0), jnp.asarray(-1.0), jnp.ones(1), jnp.asarray(1.0))
    assert (float(α), int(count)) == (0.0, 60)


def test_where_the_step_ascends_the_cost_must_not_rise():
    J: Any = lambda w: w[0] ** 2 + w[0]  # noqa: E731
    α, _ = shorten(J, jnp.zeros(1), jnp.asarray(0.0), jnp.asarray(1.0), jnp.ones(1), jnp.asarray(2.0))
    assert α == 0


def test_all_parts_can_be_off_and_then_cost_nothing():
    J, w = small("rosenbrock")
    optimizer = make_optimizer("hessian-free", iterations=2.0, warm_start=0.0, **PLAIN)
    step = take(optimizer, J, w, optimizer.init(J, jnp.asarray(w)))
    assert np.isclose(step.passes, 1 + 2 + 1 / 3)
    assert set(step.columns) == {"cg_iterations", "kept_iteration", "line_search_rate", "rho", "negative_curvature"}
    assert step.state.damping == 1.0


def test_rho_counts_the_damping_term_where_it_is_asked_to():
    J, w = small("rosenbrock")
    ρ, δs = {}, {}
    for term in (False, True):
        optimizer = make_optimizer("hessian-free", damping=5.0, damping_in_rho=term, backtrack=False, line_search=False)
        step = take(optimizer, J, w, optimizer.init(J, jnp.asarray(w)))
        ρ[term], δs[term] = float(step.columns["rho"]), np.asarray(step.delta)
    δ, g = δs[True], np.asarray(gradient_of(J, w))
    np.testing.assert_array_equal(δ, δs[False])
    model = g @ δ + δ @ gauss_newton_of(J, w) @ δ / 2
    change = J(jnp.asarray(w + δ)) - J(jnp.asarray(w))
    assert np.isclose(ρ[False], change / model, rtol=1e-8)
    assert np.isclose(ρ[True], change / (model + 5.0 * δ @ δ / 2), rtol=1e-8)


# --- with the Hessian -------------------------------------------------------------------------------------------------

TOP_OF_THE_HILL = [-0.2, -0.8]  # near Himmelblau's maximum, where H is negative definite


def himmelblau(start, **options) -> Any:
    optimizer = {"name": "hessian-free", "matrix": "hessian", "damping": 0.1} | options
    return so.run(problem={"name": "himmelblau"}, start=start, optimizers=[optimizer], steps=40).lanes[0]


def test_negative_curvature_in_the_first_direction_is_refused_by_name():
    lane = himmelblau(TOP_OF_THE_HILL, adapt="fixed")
    assert (lane.status, lane.step) == ("stopped", 0)
    assert lane.reason == "the first direction of conjugate gradients has negative curvature at step 0"


def test_where_damping_adapts_it_grows_until_there_is_a_direction():
    lane = himmelblau(TOP_OF_THE_HILL)
    assert lane.status == "converged"
    lost = lane.columns["cg_iterations"][1:] == 0
    first = int(np.argmin(lost))
    assert first > 1
    np.testing.assert_array_equal(lane.columns["negative_curvature"][1 : first + 1], 1)
    np.testing.assert_array_equal(lane.columns["line_search_rate"][1 : first + 1], 0)
    np.testing.assert_array_equal(lane.w[first], TOP_OF_THE_HILL)
    np.testing.assert_allclose(lane.columns["damping"][1 : first + 2], 0.1 * 1.5 ** np.arange(first + 1), rtol=1e-12)
    assert lane.loss[-1] < 1e-15


def test_negative_curvature_later_on_ends_the_iteration_and_is_told():
    """H has eigenvalues of both signs here, and the gradient lies mostly along the positive one."""
    w = [0.5, 3.0]
    J = objective(make_problem("himmelblau"))
    H, g = np.asarray(hessian_of(J, np.array(w))), np.asarray(gradient_of(J, np.array(w)))
    assert np.linalg.eigvalsh(H)[0] < -0.1 < 0 < g @ H @ g
    lane = himmelblau(w, adapt="fixed", damping=0.0, precondition=False, warm_start=0.0, stop=False)
    assert lane.columns["negative_curvature"][1] == 1
    assert lane.columns["cg_iterations"][1] == 1
    δ = -(g @ g) / (g @ H @ g) * g
    np.testing.assert_allclose(lane.w[1] - lane.w[0], lane.columns["line_search_rate"][1] * δ, rtol=1e-10)


# --- in a run ---------------------------------------------------------------------------------------------------------


def test_the_cost_never_rises_and_the_warm_start_helps():
    body: dict[str, Any] = {"problem": {"name": "regression-network"}, "steps": 40}
    cold, warm = so.run(**body, optimizers=[{"name": "hessian-free", "iterations": 20, "warm_start": [0, 0.95]}]).lanes
    for lane in (cold, warm):
        assert np.all(np.diff(lane.loss) <= 1e-12)
        assert (lane.columns["damping"][1:] >= 1e-12).all()
    assert warm.loss[-1] < cold.loss[-1]


def test_the_number_of_iterations_sweeps_in_one_program():
    body: dict[str, Any] = {"problem": {"name": "rosenbrock"}, "steps": 15}
    one, two = so.run(**body, optimizers=[{"name": "hessian-free", "iterations": [1, 2]}]).lanes
    assert (one.columns["cg_iterations"][1:] == 1).all()
    assert two.columns["cg_iterations"][1:].max() == 2
    alone = so.run(**body, optimizers=[{"name": "hessian-free", "iterations": 2}]).lanes[0]
    np.testing.assert_allclose(two.w, alone.w, rtol=1e-6)
    compiled: Any = program._advance
    before = compiled._cache_size()
    so.run(**body, optimizers=[{"name": "hessian-free", "iterations": 3, "warm_start": 0, "lowest_damping": 0.1}])
    assert compiled._cache_size() == before, "a slider recompiles"


def test_where_the_gradient_is_not_finite_the_lane_diverges():
    """In float32 a weight of 1e30 makes logits of which no product with G is finite."""
    problem = make_problem("digits-autoencoder", widths=(64, 2, 64))
    body: dict[str, Any] = {"problem": {"name": "digits-autoencoder", "widths": [64, 2, 64]}, "steps": 3}
    lane = so.run(**body, start=[1e30] * problem.dimension, optimizers=[{"name": "hessian-free"}]).lanes[0]
    assert (lane.status, lane.step) == ("diverged", 0)


def test_the_lowest_damping_holds():
    lane = so.run(
        problem={"name": "quadratic"}, optimizers=[{"name": "hessian-free", "damping": 1, "lowest_damping": 0.25}]
    ).lanes[0]
    assert np.nanmin(lane.columns["damping"]) == 0.25


def test_it_needs_outputs_with_a_convex_loss():
    assert "convex loss" in str(HessianFree.fit(make_problem("saddle")))
    assert HessianFree.fit(make_problem("beale")) is None
