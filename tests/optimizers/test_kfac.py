"""K-FAC against Newton's method, preconditioned conjugate gradients, and a plain numpy run of M&G's algorithm 2."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.core import Batch, Objective
from secondorder.curvature import kronecker
from secondorder.spec import parse
from tests.oracles import gauss_newton_of, make_optimizer, make_problem

LINEAR = {"name": "linear-regression", "features": [], "l2": 0.0}
PLAIN = {"adapt": "fixed", "adapt_gamma": False, "statistics": "exact", "refresh": 1, "decay": 0.0}


def design(problem: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """x̄ and t of a linear regression."""
    train = make_problem(problem["name"], **{k: v for k, v in problem.items() if k not in ("name", "features")},
                         features=()).data(0).train  # fmt: skip
    return np.column_stack([train.inputs, np.ones(len(train.inputs))]), train.targets[:, 0]


def test_without_damping_a_step_on_linear_regression_is_newtons():
    run = so.run(problem=LINEAR, optimizers=[{"name": "kfac", "damping": 0.0, "momentum": False} | PLAIN], steps=1)
    X, t = design(LINEAR)
    best = np.linalg.lstsq(X, t, rcond=None)[0]
    np.testing.assert_allclose(run.lanes[0].w[1], best, rtol=1e-9, atol=1e-11)
    assert run.lanes[0].alpha[1] == pytest.approx(1.0, abs=1e-10)


def test_rescaling_and_momentum_on_a_quadratic_are_preconditioned_conjugate_gradients():
    """Iterate by iterate (M&G §7): λ = 0 in the model, γ > 0 in the preconditioner, exact and constant factors."""
    γ = 0.7
    run = so.run(
        problem=LINEAR, optimizers=[{"name": "kfac", "damping": 0.0, "gamma": γ} | PLAIN], steps=10, tolerance=0
    )
    X, t = design(LINEAR)
    G = X.T @ X / len(X)
    π = np.sqrt(np.trace(G) / len(G))  # S is 1
    M = (G + π * γ * np.eye(len(G))) * (1 + γ / π)
    w, r = np.zeros(len(G)), X.T @ t / len(X)
    p = z = np.linalg.solve(M, r)
    for k in range(11):
        np.testing.assert_allclose(run.lanes[0].w[k], w, atol=1e-10)
        α = (r @ z) / (p @ G @ p)
        w = w + α * p
        r_next = r - α * G @ p
        z_next = np.linalg.solve(M, r_next)
        p = z_next + (r_next @ z_next) / (r @ z) * p
        r, z = r_next, z_next


class ByHand:
    """Algorithm 2 of M&G in numpy, with F written out and S in exact expectation over the outputs."""

    def __init__(self, problem: Any, l2: float, inverse: str):
        self.problem, self.l2, self.inverse = problem, l2, inverse
        self.J = Objective(problem, problem.data(0).train)
        self.value, self.gradient = jax.jit(self.J), jax.jit(self.J.gradient)
        self.fisher = jax.jit(lambda w: gauss_newton_of(self.J, w))
        self.factors = jax.jit(lambda w: kronecker.estimate(self.J, w, exact=True))

    def propose(self, factors, g, λ, γ):
        parts = []
        for A, S, V in zip(*factors, self.problem.network.split(g), strict=True):
            if self.inverse == "eigen":
                C = np.kron(S, A) + (λ + self.l2) * np.eye(V.size)
                parts.append(-np.linalg.solve(C, np.ravel(V)))
                continue
            π = np.sqrt((np.trace(A) / len(A)) / (np.trace(S) / len(S)))
            left, right = S + γ / π * np.eye(len(S)), A + π * γ * np.eye(len(A))
            parts.append(-np.linalg.solve(left, np.linalg.solve(right, np.asarray(V).T).T).ravel())
        return np.concatenate(parts)

    def best(self, factors, g, damped, λ, γ, δ0):
        """M(δ) - M(0), δ and γ: the model's minimum in the plane of the proposal and the last step."""
        Δ = self.propose(factors, g, λ, γ)
        basis = np.column_stack([Δ, δ0] if δ0.any() else [Δ])
        δ = basis @ np.linalg.solve(basis.T @ damped @ basis, -basis.T @ g)
        return g @ δ + δ @ damped @ δ / 2, δ, γ

    def run(self, w, steps, T1=5, T2=20, T3=5):
        """Weights, λ and γ at each step."""
        λ, δ0, told = 1.0, np.zeros(len(w)), []
        γ = np.sqrt(λ + self.l2)
        average = inverted = None
        for n in range(1, steps + 1):
            told.append((w, λ))
            g, F = np.asarray(self.gradient(w)), np.asarray(self.fisher(w))
            ε = min(1 - 1 / n, 0.95)
            new = [[np.asarray(C) for C in side] for side in self.factors(w)]
            average = new if average is None else [
                [ε * old + (1 - ε) * now for old, now in zip(*sides, strict=True)]
                for sides in zip(average, new, strict=True)
            ]  # fmt: skip
            damped = F + (λ + self.l2) * np.eye(len(w))

            if n % T2 == 0 and self.inverse == "pi":
                ω = (19 / 20) ** (T2 / 2)
                inverted = average
                tried = [self.best(average, g, damped, λ, one, δ0) for one in (γ, ω * γ, γ / ω)]
                model, δ, γ = min(tried, key=lambda found: found[0])
                inverted_γ = γ
            else:
                if (n - 1) % T3 == 0 or n <= 3:
                    inverted, inverted_γ = average, γ
                model, δ, _ = self.best(inverted, g, damped, λ, inverted_γ, δ0)
            if n % T1 == 0:
                ρ = (float(self.value(w + δ)) - float(self.value(w))) / model
                λ *= (19 / 20) ** T1 if ρ > 3 / 4 else (20 / 19) ** T1 if ρ < 1 / 4 else 1
            w, δ0 = w + δ, δ
        return told


@pytest.mark.parametrize("inverse", ["pi", "eigen"])
def test_a_run_is_algorithm_2_by_hand(inverse):
    problem = {"name": "regression-network", "size": 20, "l2": 1e-3}
    optimizer = {"name": "kfac", "statistics": "exact", "inverse": inverse}
    run = so.run(problem=problem, optimizers=[optimizer], steps=25, tolerance=0)
    lane = run.lanes[0]
    expected = ByHand(run.spec.problem, 1e-3, inverse).run(lane.w[0], 25)
    for k, (w, λ) in enumerate(expected):
        np.testing.assert_allclose(lane.w[k], w, rtol=1e-6, atol=1e-7)
        if k:
            assert lane.damping[k] == pytest.approx(expected[k - 1][1], rel=1e-12), λ
    assert len({round(λ, 9) for _, λ in expected}) > 3, "λ has adapted"


def test_pi_and_exact_damping_draw_together_as_the_root_of_the_damping():
    """On a true gradient, which has no part outside the range of its examples' factors: the difference falls as √λ."""
    problem = make_problem("digits-autoencoder", widths=(64, 4, 64), dtype="float64", l2=0.0)
    J = Objective(problem, Batch(*(part[:40] for part in problem.data(0).train)))
    w = jnp.asarray(problem.start(0))
    factors, g = kronecker.estimate(J, w, exact=True), problem.network.split(J.gradient(w))
    differences, dampings = [], np.geomspace(1e-10, 1e-8, 3)
    for λ in dampings:
        exact = problem.network.join(kronecker.diagonalize(factors).apply(g, λ)[0])
        by_pi = problem.network.join(kronecker.invert(factors, np.sqrt(λ)).apply(g))
        differences.append(float(np.linalg.norm(exact - by_pi) / np.linalg.norm(exact)))
    slopes = np.diff(np.log(differences)) / np.diff(np.log(dampings))
    np.testing.assert_allclose(slopes, 0.5, atol=0.01)
    assert differences[0] < 0.002


def test_a_singular_factor_at_zero_damping_stops_by_name():
    """Corner pixels are always blank: their second moments vanish."""
    run = so.run(
        problem={"name": "digits-autoencoder", "l2": 0.0, "widths": [64, 4, 64]},
        optimizers=[{"name": "kfac", "damping": 0.0, "adapt": "fixed"}],
        steps=3,
    )
    assert (run.lanes[0].status, run.lanes[0].step) == ("stopped", 0)
    assert run.lanes[0].reason == "a damped Kronecker factor is singular at step 0"


def test_factors_that_are_not_finite_are_named():
    problem = {"name": "digits-autoencoder", "widths": [64, 4, 64], "l2": 0.0}
    dimension = make_problem("digits-autoencoder", widths=(64, 4, 64)).dimension
    run = so.run(problem=problem, start=[1e30] * dimension, optimizers=[{"name": "kfac"}], steps=3)
    assert run.lanes[0].status in ("stopped", "diverged")
    assert run.lanes[0].reason == "a Kronecker factor is not finite at step 0"


@pytest.mark.parametrize("damping", [1e-12, 1e-9, 1e-6])
def test_tiny_damping_gives_a_right_step_or_a_refusal(damping):
    """In float64 the step of exact damping solves (A ⊗ S + λI)Δ = -g, or is refused by name."""
    body = {"name": "kfac", "inverse": "eigen", "damping": damping, "rescale": False} | PLAIN
    problem = {"name": "digits-autoencoder", "widths": [64, 3, 64], "dtype": "float64", "l2": 0.0, "held_out": 0.9}
    run = so.run(problem=problem, optimizers=[body], steps=1)
    lane = run.lanes[0]
    if lane.status in ("stopped", "diverged"):
        assert lane.reason == "a damped Kronecker factor is singular at step 0"
        return
    J = Objective(run.spec.problem, run.spec.problem.data(0).train)
    w, C = lane.w[0], kronecker.kronecker(J, lane.w[0])
    g, Δ = np.asarray(J.gradient(w)), lane.w[1] - w
    residual = C.matrix @ Δ + damping * Δ + g
    assert np.linalg.norm(residual) < 1e-8 * np.linalg.norm(g)


def test_the_papers_preset_is_written_out_in_the_canonical_spec():
    body = {
        "problem": {"name": "digits-autoencoder"},
        "optimizers": [{"name": "kfac", "preset": "paper", "refresh": 7}],
    }
    (canonical,) = parse(body).canonical()["optimizers"]
    assert (canonical["damping"], canonical["average"], canonical["first_batch"]) == (150.0, 0.99, 1000)
    assert canonical["refresh"] == 7, "what is said beside a preset stands"
    assert "preset" not in canonical


def test_the_growing_batch_is_the_papers_rounded_up_to_few_sizes():
    kfac = make_optimizer("kfac", first_batch=1000, full_at=500)
    problem = make_problem("digits-autoencoder")
    sizes = kfac.batches(problem, 10_000)
    assert sizes[0] == (0, 1000)
    assert sizes[-1][1] == 0, "all of the data"
    b = 499 / np.log(1797 / 1000)
    for k in range(0, 600, 7):
        size = next(size for first, size in reversed(sizes) if first <= k) or 1797
        exact = min(1797, 1000 * np.exp(k / b))
        assert exact * (1 - 1e-9) <= size + 1 < 1.5 * exact + 2


def test_a_growing_batch_is_what_steps_are_charged_for():
    optimizer = {"name": "kfac", "first_batch": 60, "full_at": 4, "momentum": False}
    run = so.run(problem={"name": "regression-network"}, optimizers=[optimizer], steps=8, tolerance=0)
    lane = run.lanes[0]
    shares = np.diff(lane.passes) / np.where(np.arange(1, 9) % 5 == 0, 3 + 1 / 3, 3)
    assert shares[0] == pytest.approx(0.6)
    assert (np.diff(shares[:4]) >= 0).all()
    np.testing.assert_allclose(shares[4:], 1.0)
    np.testing.assert_allclose(np.diff(lane.examples), 100 * shares)
    assert lane.batch_loss[0] != lane.loss[0]
    np.testing.assert_allclose(lane.batch_loss[5:], lane.loss[5:], rtol=1e-6)


def test_the_averaged_iterate_is_its_moving_average():
    optimizer = {"name": "kfac", "average": 0.9}
    run = so.run(problem={"name": "regression-network"}, optimizers=[optimizer], steps=12, tolerance=0)
    lane, value = run.lanes[0], jax.jit(Objective(run.spec.problem, run.spec.problem.data(0).train))
    average = np.zeros(321)
    for n in range(1, 13):
        ξ = min(1 - 1 / n, 0.9)
        average = ξ * average + (1 - ξ) * lane.w[n]
        assert lane.averaged_loss[n] == pytest.approx(float(value(average)), rel=1e-9)
