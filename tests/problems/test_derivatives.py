"""Gradients and Hessians of every problem in the catalog against central differences of its cost, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder import catalog
from secondorder.core import Objective, knobs
from secondorder.curvature.hessian import hessian
from tests.oracles import SMALL, derivative, directions, make_problem, second_derivative, small, value

NEAR, FAR = 1e-3, 5e-3


@jax.jit
def measured(J, w, u, distances):
    """g, H, and J(w + s u) for every distance s and direction u."""
    costs = jax.vmap(lambda s: jax.vmap(lambda u: J(w + s * u))(u))(distances)
    return J.gradient(w), hessian(J, w).matrix, costs


@pytest.mark.parametrize("name", catalog.all_problems())
def test_derivatives_are_those_of_the_cost_by_differences(name):
    J, w = small(name)
    u = directions(len(w))
    distances = np.array([*(NEAR * k for k in (-2, -1, 1, 2)), *(FAR * k for k in (-2, -1, 0, 1, 2))])
    g, H, costs = (np.asarray(part) for part in measured(J, jnp.asarray(w), u, distances))
    cost = dict(zip(distances.tolist(), costs, strict=True))
    slopes, curvatures = derivative(lambda s: cost[s], NEAR), second_derivative(lambda s: cost[s], FAR)
    size = float(np.linalg.norm(H, 2))
    np.testing.assert_allclose(u @ g, slopes, rtol=0, atol=1e-9 * float(np.linalg.norm(g)))
    np.testing.assert_allclose(np.einsum("ki,ij,kj->k", u, H, u), curvatures, rtol=0, atol=1e-8 * size)
    np.testing.assert_array_equal(H, H.T)


@pytest.mark.parametrize("name", [name for name, cls in catalog.all_problems().items() if "l2" in knobs(cls)])
def test_the_l2_term_penalizes_all_weights_but_an_intercept(name):
    J, w = small(name)
    penalized = np.ones(len(w))
    if name in ("linear-regression", "logistic-regression"):
        penalized[-1] = 0
    l2 = SMALL[name]["l2"]
    np.testing.assert_allclose(np.broadcast_to(J.problem.l2_diagonal(), w.shape), l2 * penalized, rtol=1e-15)
    without = Objective(make_problem(name, **SMALL[name] | {"l2": 0.0}), J.batch)
    term = value(J, w) - value(without, w)
    assert np.isclose(term, l2 / 2 * np.sum(penalized * w**2), rtol=1e-12)
