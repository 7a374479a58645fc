"""L-BFGS reaches the minima that are known or that scipy finds, descending at every step."""

import numpy as np
from scipy.optimize import minimize

import secondorder as so
from secondorder.optimizers.lbfgs import LBFGS
from tests.oracles import gradient_of, make_problem, objective, value


def test_it_ends_at_the_minimum():
    lane = so.run(problem={"name": "rosenbrock"}, optimizers=[{"name": "lbfgs"}], steps=100).lanes[0]
    assert lane.status == "converged"
    assert np.all(np.diff(lane.loss) <= 1e-15)
    assert np.all(lane.slope[1:] < 0)
    assert lane.passes[-1] >= lane.step
    np.testing.assert_allclose(lane.w[-1], [1, 1], atol=1e-7)


def test_on_breast_cancer_it_reaches_what_scipys_reaches():
    problem = {"name": "logistic-regression", "l2": 0.1}
    lane = so.run(problem=problem, optimizers=[{"name": "lbfgs"}], steps=200, tolerance=1e-8).lanes[0]
    J = objective(make_problem("logistic-regression", l2=0.1))
    theirs = minimize(lambda w: float(value(J, w)), np.zeros(31), jac=lambda w: np.asarray(gradient_of(J, w)),
                      method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000})  # fmt: skip
    assert lane.status == "converged"
    assert abs(lane.loss[-1] - theirs.fun) < 1e-13
    np.testing.assert_allclose(lane.w[-1], theirs.x, atol=1e-6)


def test_mini_batches_are_refused_with_what_to_do():
    assert "set batch to 0" in str(LBFGS.fit(make_problem("digits-classifier", batch=128)))
    assert LBFGS.fit(make_problem("digits-classifier", batch=0)) is None
