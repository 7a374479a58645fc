"""Natural gradient: Fisher scoring on logistic regression, and Newton's step where F is H."""

import numpy as np
import pytest
from scipy.special import expit

import secondorder as so
from secondorder.optimizers.natural_gradient import NaturalGradient
from tests.oracles import make_optimizer, make_problem, objective, path


@pytest.mark.parametrize("η", [0.0, 0.05])
def test_steps_on_logistic_regression_are_fisher_scoring(η):
    """δ = -(XᵀSX/N + L + ηI)⁻¹g, S = diag(p(1 - p)): the l2 term's Hessian L is added to F in the solve."""
    problem = make_problem("logistic-regression", l2=0.02)
    J = objective(problem)
    x, t = J.batch
    X, L = np.column_stack([x, np.ones(len(x))]), np.diag([0.02] * 30 + [0])
    ws = path(make_optimizer("natural-gradient", damping=η), J, problem.start(0), 5)
    for k in range(5):
        p = expit(X @ ws[k])
        g = X.T @ (p - t[:, 0]) / len(x) + L @ ws[k]
        δ = -np.linalg.solve((X.T * (p * (1 - p))) @ X / len(x) + L + η * np.eye(31), g)
        np.testing.assert_allclose(ws[k + 1] - ws[k], δ, rtol=1e-7, atol=1e-9)


def test_on_the_logistic_cost_it_is_newtons_method():
    J = objective(make_problem("logistic-cost"))
    w = np.array([2.0, -1.0])
    natural, newton = make_optimizer("natural-gradient", damping=0.0), make_optimizer("newton")
    np.testing.assert_allclose(path(natural, J, w, 5), path(newton, J, w, 5), rtol=1e-12, atol=1e-15)


def test_it_needs_a_model_that_predicts():
    assert "predicts a distribution" in str(NaturalGradient.fit(make_problem("rosenbrock")))


def test_weights_in_very_different_units_do_not_make_the_matrix_singular():
    """F of the logistic cost at (60, 0.1) is diag(2e-26, ½): the step is -sinh x all the same, as Newton's is."""
    lane = so.run(
        problem={"name": "logistic-cost"},
        start=[60.0, 0.1],
        steps=1,
        optimizers=[{"name": "natural-gradient", "damping": 0.0}],
    ).lanes[0]
    np.testing.assert_allclose(lane.w[1], [60 - np.sinh(60.0), 0.1 - np.sinh(0.1)], rtol=1e-10)
