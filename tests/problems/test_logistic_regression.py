"""Logistic regression on breast cancer against scikit-learn, scipy and formulas."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression as Theirs
from sklearn.preprocessing import StandardScaler

import secondorder as so
from secondorder.problems.logistic_regression import FEATURES
from tests.oracles import gradient_of, make_problem, objective, value

BUNCH: Any = load_breast_cancer()
X, T, N, L2 = StandardScaler().fit_transform(BUNCH.data), BUNCH.target, 569, 1e-3


def cost(w):
    z = X @ w[:-1] + w[-1]
    return np.mean(np.logaddexp(0, z) - T * z) + L2 / 2 * np.sum(w[:-1] ** 2)


def gradient(w):
    residual = expit(X @ w[:-1] + w[-1]) - T
    return np.append(X.T @ residual / N + L2 * w[:-1], residual.mean())


@pytest.fixture(scope="module")
def newton():
    return so.run(problem={"name": "logistic-regression"}, optimizers=[{"name": "newton"}]).lanes[0]


def test_features_are_standardized_by_the_population_deviation():
    train = make_problem("logistic-regression").data(0).train
    np.testing.assert_allclose(train.inputs, X, atol=1e-12)
    np.testing.assert_allclose(train.inputs.std(axis=0, ddof=0), 1, rtol=1e-12)
    np.testing.assert_array_equal(train.targets[:, 0], T)
    assert list(BUNCH.feature_names) == FEATURES


def test_held_out_examples_are_standardized_as_the_training_data_are():
    problem = make_problem("logistic-regression", held_out=0.3, features=("worst area", "mean texture"))
    train, test = problem.data(4)
    assert test is not None
    assert (len(train.inputs), len(test.inputs)) == (problem.examples, 171) == (398, 171)
    np.testing.assert_allclose(train.inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.inputs.std(axis=0), 1, rtol=1e-12)
    # The one affine map that takes the measurements to the training inputs takes them to the test inputs as well.
    both = np.concatenate([train.inputs, test.inputs])
    raw = BUNCH.data[:, [list(BUNCH.feature_names).index(name) for name in problem.features]]
    scale, shift = both.std(axis=0) / raw.std(axis=0), both.mean(axis=0)
    theirs = (raw - raw.mean(axis=0)) * scale + shift
    np.testing.assert_allclose(np.sort(both, axis=0), np.sort(theirs, axis=0), atol=1e-9)


def test_weights_stand_in_feature_order_with_the_intercept_last():
    w = np.random.default_rng(0).standard_normal(31)
    J = objective(make_problem("logistic-regression"))
    assert np.isclose(value(J, w), cost(w), rtol=1e-13)
    np.testing.assert_allclose(gradient_of(J, w), gradient(w), rtol=1e-10)
    assert make_problem("logistic-regression", features=("mean area", "worst texture")).weights == [
        "mean area", "worst texture", "intercept",
    ]  # fmt: skip


def test_undamped_newton_converges_from_zero_in_nine_steps(newton):
    assert (newton.status, newton.step) == ("converged", 9)
    assert np.linalg.norm(gradient(newton.w[-1])) < 1e-9


def test_newton_takes_the_steps_of_iteratively_reweighted_least_squares(newton):
    """(XᵀSX/N + L) δ = -g with S = diag(p(1 - p)), from numpy."""
    w, Xb = np.zeros(31), np.column_stack([X, np.ones(N)])
    for k in range(6):
        np.testing.assert_allclose(newton.w[k], w, atol=1e-9 * max(1, np.abs(w).max()))
        p = expit(Xb @ w)
        H = (Xb.T * (p * (1 - p))) @ Xb / N + np.diag([L2] * 30 + [0])
        w = w - np.linalg.solve(H, gradient(w))


def test_scikit_learn_reaches_the_same_cost(newton):
    theirs = Theirs(solver="newton-cholesky", C=1 / (N * L2), tol=1e-12, max_iter=100).fit(X, T)
    w = np.append(theirs.coef_[0], theirs.intercept_)
    assert abs(newton.loss[-1] - cost(w)) < 1e-8
    np.testing.assert_allclose(newton.w[-1], w, atol=1e-5)


def test_scipy_reaches_the_same_cost(newton):
    theirs = minimize(cost, np.zeros(31), jac=gradient, method="BFGS", options={"gtol": 1e-8, "maxiter": 1000})
    assert abs(newton.loss[-1] - theirs.fun) < 1e-8
    assert newton.loss[-1] <= theirs.fun + 1e-14


def test_the_sample_deviation_would_move_the_optimum_by_2e_5(newton):
    """So small a difference shows: the right one (ddof 0) is told from the wrong one by this optimum."""
    scale = np.sqrt((N - 1) / N)  # features by ddof 1 are smaller by this much
    Xs = X * scale

    def other(w):
        z = Xs @ w[:-1] + w[-1]
        return np.mean(np.logaddexp(0, z) - T * z) + L2 / 2 * np.sum(w[:-1] ** 2)

    theirs = Theirs(solver="newton-cholesky", C=1 / (N * L2), tol=1e-12, max_iter=100).fit(Xs, T)
    J = other(np.append(theirs.coef_[0], theirs.intercept_))
    assert abs(J - newton.loss[-1]) > 1e-6


def test_without_l2_the_data_separate():
    """A linear program finds weights that separate all 569 tumours; along them the loss falls to 0: no minimum."""
    signs = 2 * T - 1
    found = linprog(np.zeros(31), A_ub=-signs[:, None] * np.column_stack([X, np.ones(N)]), b_ub=-np.ones(N),
                    bounds=(None, None))  # fmt: skip
    assert found.success
    J = objective(make_problem("logistic-regression", l2=0.0))
    costs = [value(J, scale * found.x) for scale in (1, 10, 100)]
    assert costs[0] > costs[1] > costs[2]
    assert costs[2] < 1e-40


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_an_option(dtype):
    problem = make_problem("logistic-regression", dtype=dtype, features=("mean radius",))
    train = problem.data(0).train
    assert train.inputs.dtype == train.targets.dtype == problem.start(0).dtype == dtype
    assert value(objective(problem), problem.start(0)).dtype == dtype
