"""Pullback diagonal against its slide written out in numpy, and what its average remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.core import Objective
from secondorder.curvature.pullback_diagonal import exact_diagonal
from secondorder.program import step_key
from tests.oracles import make_optimizer, make_problem, objective

STEPS, η, λ, α, L2 = 30, 0.8, 0.05, 0.1, 0.02


@pytest.fixture(scope="module")
def lane():
    return so.run(
        problem={"name": "linear-regression", "l2": L2},
        optimizers=[
            {"name": "pullback-diagonal", "rate": α, "damping": λ, "decay": η, "momentum": 0.5, "samples": 3},
        ],
        steps=STEPS,
        tolerance=0.0,
        seed=4,
    ).lanes[0]


def test_steps_are_those_of_the_slide(lane):
    """Every Dw = X̄ᵀDz/√N with Dz ~ N(0, I) from the step's own key; the intercept is not penalized."""
    J = objective(make_problem("linear-regression"))
    X, t = np.column_stack([J.batch.inputs, np.ones(442)]), J.batch.targets[:, 0]
    L = np.array([L2, 0.0])
    w, Ĝ, p = lane.w[0], np.zeros(2), np.zeros(2)
    for k in range(STEPS):
        keys = jax.random.split(step_key(jnp.asarray(4, jnp.uint32), jnp.asarray(k)), 3)
        Dz = np.array([jax.random.normal(key, (442, 1))[:, 0] for key in keys])
        squares = np.mean((Dz @ X / np.sqrt(442)) ** 2, axis=0)
        # The plain mean of all samples until there are 1/(1 - η) = 5 of them.
        Ĝ = (k * Ĝ + squares) / (k + 1) if k < 5 else η * Ĝ + (1 - η) * squares
        g = X.T @ (X @ w - t) / 442 + L * w
        p = 0.5 * p - α * g / (Ĝ + L + λ)
        w = w + p
        np.testing.assert_allclose(lane.w[k + 1], w, rtol=1e-10)


def test_the_timescale_is_told(lane):
    timescale = lane.columns["timescale"]
    assert np.isnan(timescale[0])
    np.testing.assert_allclose(timescale[1:], np.minimum(np.arange(1, STEPS + 1), 1 / (1 - η)), rtol=1e-12)


def test_a_step_costs_a_gradient_and_a_backward_pass_a_sample(lane):
    np.testing.assert_allclose(lane.passes, 4.0 * np.arange(STEPS + 1))


def test_with_many_samples_it_is_the_step_with_the_exact_diagonal():
    """Undamped, without momentum and α = 1: δ = -g/diag(G), to the samples' error of √(2/S)."""
    problem = make_problem("linear-regression", features=("age", "blood pressure", "blood sugar"))
    J = objective(problem)
    w = jnp.asarray(problem.start(0))
    optimizer = make_optimizer("pullback-diagonal", rate=1.0, damping=0.0, momentum=0.0, samples=2000)
    J = Objective(problem, J.batch, 0, jax.random.key(0))
    step = jax.jit(lambda J, w: optimizer.step(J, w, optimizer.init(J, w)))(J, w)
    expected = -J.gradient(w) / exact_diagonal(J, w).diagonal
    np.testing.assert_allclose(step.delta, expected, rtol=5 * np.sqrt(2 / 2000))
    assert np.any(np.abs(step.delta / expected - 1) > 1e-3)


def test_a_zero_on_the_undamped_diagonal_is_refused_by_name():
    """A logistic output so far out that no target differs from its prediction: Dw = 0."""
    lane = so.run(
        problem={"name": "logistic-cost"},
        start=[800.0, 0.1],
        optimizers=[{"name": "pullback-diagonal", "damping": 0.0}],
    ).lanes[0]
    assert (lane.status, lane.step) == ("stopped", 0)
    assert lane.reason == "the damped diagonal Ĝ + λI has a zero at step 0"


def test_it_needs_a_model_that_predicts():
    cls = type(make_optimizer("pullback-diagonal"))
    assert "predicts a distribution" in str(cls.fit(make_problem("rosenbrock")))
    assert cls.fit(make_problem("digits-autoencoder", size="deep")) is None
