"""The lecture's cost against 40-digit arithmetic, far out as well as near the minimum."""

from decimal import Decimal, getcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.core import Objective
from secondorder.curvature.hessian import hessian
from secondorder.likelihoods import Logistic
from tests.oracles import make_problem


@jax.jit
def derivatives(J, w):
    return J(w), J.gradient(w), hessian(J, w).matrix


@pytest.fixture
def J():
    problem = make_problem("logistic-cost", size=3)
    return Objective(problem, problem.data(0).train)


@pytest.mark.parametrize("x", [1e-9, 0.3, 2.0, -2.1773, 10.0, -40.0, 300.0, 700.0])
def test_cost_gradient_and_curvature_keep_their_digits_for_all_weights(J, x):
    getcontext().prec = 400
    e = Decimal(x).exp()
    cost, slope, curvature = (1 + e).ln() + (1 + 1 / e).ln(), (e - 1) / (e + 1), 2 * e / (1 + e) ** 2
    value, g, H = derivatives(J, jnp.array([x, 0.0, x]))
    two_log_two = 2 * Decimal(2).ln()
    assert np.isclose(value, float(2 * cost + two_log_two), rtol=1e-15)
    np.testing.assert_allclose(g, [float(slope), 0, float(slope)], rtol=1e-15)
    np.testing.assert_allclose(H, np.diag([float(curvature), 0.5, float(curvature)]), rtol=2e-13)


def test_curvature_underflows_to_exactly_zero_while_the_cost_is_finite(J):
    value, g, H = derivatives(J, jnp.array([1600.0, -1e300, 0.0]))
    assert np.isclose(value, 1e300)
    np.testing.assert_array_equal(g, [1, -1, 0])
    np.testing.assert_array_equal(np.diagonal(H), [0, 0, 0.5])


def test_the_cost_is_that_of_logistic_outputs_asked_for_both_targets(J):
    w = jnp.array([0.4, -1.7, 3.0])
    z, t = J.problem.outputs(w, J.batch.inputs), J.batch.targets
    assert np.isclose(J(w), Logistic().loss(z[0], t[0]), rtol=1e-14)
    assert np.isclose(J(w), np.sum(np.log1p(np.exp(w)) + np.log1p(np.exp(-w))), rtol=1e-14)
