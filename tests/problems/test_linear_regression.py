"""Linear regression on diabetes data against scikit-learn and formulas: one matrix E[x̄x̄ᵀ] is H, G and F."""

from typing import Any

import jax
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression as Theirs
from sklearn.linear_model import Ridge

import secondorder as so
from secondorder.curvature.fisher import fisher
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.problems.linear_regression import FEATURES
from tests.oracles import hessian_of, make_problem, objective, value

BUNCH: Any = load_diabetes(scaled=False)
N = 442


def standardized(a):
    return (a - a.mean(axis=0)) / a.std(axis=0)


X, T = standardized(BUNCH.data), standardized(BUNCH.target)

matrices = jax.jit(lambda J, w: (gauss_newton(J, w).matrix, fisher(J, w).matrix))


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_features_are_standardized_and_then_shifted(shift):
    train = make_problem("linear-regression", features=(), shift=shift).data(0).train
    np.testing.assert_allclose(train.inputs, X + shift, atol=1e-12)
    np.testing.assert_allclose(train.targets[:, 0], T, atol=1e-12)
    assert len(FEATURES) == X.shape[1]


def test_two_weights_by_default():
    problem = make_problem("linear-regression")
    assert (problem.dimension, problem.weights) == (2, ["body mass index", "intercept"])
    assert BUNCH.feature_names[FEATURES.index("body mass index")] == "bmi"
    inside = [low < x < high for x, (low, high) in zip(problem.start(0), problem.window, strict=True)]
    assert inside == [True, True]


@pytest.mark.parametrize("features", [("body mass index",), ("age", "sex", "blood sugar"), ()])
def test_hessian_gauss_newton_and_fisher_are_the_inputs_second_moment(features):
    """H = G = F = E[x̄x̄ᵀ], at whatever weights."""
    problem = make_problem("linear-regression", features=features)
    J = objective(problem)
    x = np.column_stack([J.batch.inputs, np.ones(N)])
    expected = x.T @ x / N
    for w in np.random.default_rng(0).standard_normal((2, problem.dimension)):
        for C in (hessian_of(J, w), *matrices(J, w)):
            np.testing.assert_allclose(C, expected, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_the_shift_sets_the_condition(shift):
    problem = make_problem("linear-regression", shift=shift)
    H = hessian_of(objective(problem), problem.start(0))
    np.testing.assert_allclose(H, [[1 + shift**2, shift], [shift, 1]], atol=1e-12)


def test_newton_needs_one_step_and_arrives_where_scikit_learn_does():
    problem = {"name": "linear-regression", "features": [], "l2": 0.0}
    lane = so.run(problem=problem, optimizers=[{"name": "newton"}]).lanes[0]
    theirs = Theirs().fit(X + 1, T)
    np.testing.assert_allclose(lane.w[1], np.append(theirs.coef_, theirs.intercept_), atol=1e-9)
    assert (lane.status, lane.step) == ("converged", 1)


def test_the_l2_term_is_ridge_regressions_without_the_intercept():
    problem = {"name": "linear-regression", "features": [], "l2": 0.3}
    lane = so.run(problem=problem, optimizers=[{"name": "newton"}]).lanes[0]
    theirs = Ridge(alpha=0.3 * N, solver="cholesky").fit(X + 1, T)
    np.testing.assert_allclose(lane.w[-1], np.append(theirs.coef_, theirs.intercept_), atol=1e-10)


def test_the_cost_is_half_the_mean_squared_error():
    w = np.array([0.3, -0.7])
    z = (X[:, FEATURES.index("body mass index")] + 1) * w[0] + w[1]
    expected = np.mean((z - T) ** 2) / 2 + 0.1 * w[0] ** 2 / 2
    assert np.isclose(value(objective(make_problem("linear-regression", l2=0.1)), w), expected, rtol=1e-13)


def test_held_out_patients_are_standardized_as_the_training_data_are():
    train, test = make_problem("linear-regression", held_out=0.25, shift=0.0).data(4)
    assert test is not None
    assert (len(train.inputs), len(test.inputs)) == (332, 110)
    np.testing.assert_allclose([train.inputs.mean(), train.targets.mean()], 0, atol=1e-12)
    np.testing.assert_allclose([train.inputs.std(), train.targets.std()], 1, rtol=1e-12)
    # One affine map takes all the measurements to the inputs.
    both = np.sort(np.concatenate([train.inputs, test.inputs]).ravel())
    np.testing.assert_allclose(standardized(both), np.sort(X[:, FEATURES.index("body mass index")]), atol=1e-12)


def test_noise_is_added_to_the_training_targets_alone():
    """Standard normal times the option's value, from the seed; what is held out stays as it was measured."""
    fields: Any = {"features": (), "held_out": 0.5}
    clean, noisy, twice = (make_problem("linear-regression", noise=size, **fields).data(3) for size in (0.0, 1.0, 2.0))
    for data in (noisy, twice):
        for before, after in zip((clean.train.inputs, *clean.test), (data.train.inputs, *data.test), strict=True):
            np.testing.assert_array_equal(before, after)
    noise = noisy.train.targets - clean.train.targets
    np.testing.assert_allclose(twice.train.targets - clean.train.targets, 2 * noise, atol=1e-12)
    # Of N = 221 draws the mean has deviation 1/√N, the variance about √(2/N).
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 4 * np.sqrt(2 / noise.size)
    other = make_problem("linear-regression", noise=1.0, **fields).data(4).train.targets
    assert not np.allclose(np.sort(other, axis=0), np.sort(noisy.train.targets, axis=0))


def held_out_losses(noise: float, seed: int) -> tuple[float, float]:
    """Of gradient descent after 10 steps of rate 0.1, and of the least squares that Newton's step finds, by numpy."""
    fields: Any = {"features": (), "shift": 0.0, "held_out": 0.8, "noise": noise}
    data = make_problem("linear-regression", **fields).data(seed)
    (x, t), (x_test, t_test) = ((np.column_stack([x, np.ones(len(x))]), t[:, 0]) for x, t in data)
    w = np.zeros(11)
    for _ in range(10):
        w -= 0.1 * x.T @ (x @ w - t) / len(x)
    minimum = np.linalg.lstsq(x, t, rcond=None)[0]
    stopped, least = (float(np.mean((x_test @ w - t_test) ** 2) / 2) for w in (w, minimum))
    return stopped, least


@pytest.mark.parametrize(("noise", "wins", "medians"), [(1.0, 20, (0.296, 0.374)), (0.0, 10, (0.286, 0.286))])
def test_of_noisy_targets_descent_that_stops_early_is_better_held_out_than_the_minimum(noise, wins, medians):
    """What the docstring says, of seeds 0 to 19."""
    found = np.array([held_out_losses(noise, seed) for seed in range(20)])
    assert np.sum(found[:, 0] < found[:, 1]) == wins
    np.testing.assert_allclose(np.median(found, axis=0), medians, atol=5e-4)
