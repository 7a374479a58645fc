"""G against dense Jacobians with Gz differentiated from the loss itself, on every problem that has one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder import catalog
from secondorder.curvature.gauss_newton import gauss_newton
from tests.oracles import gauss_newton_of, hessian_of, make_problem, objective, small

WITH_OUTPUTS = [name for name, cls in catalog.all_problems().items() if cls.likelihood is not None]


@jax.jit
def found(J, w):
    G = gauss_newton(J, w)
    return G.matrix, G.factor, G.multiply(w), G.spectrum()


@pytest.mark.parametrize("name", WITH_OUTPUTS)
def test_g_is_the_dense_sum_over_examples_without_the_l2_term(name):
    J, w = small(name)
    G, R, Gw, (ν, _) = (jax.device_get(part) for part in found(J, w))
    expected = np.asarray(gauss_newton_of(J, w))
    size = np.linalg.norm(expected, 2)
    np.testing.assert_allclose(G, expected, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(R.T @ R, expected, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(Gw, expected @ w + J.problem.l2_diagonal() * w, atol=1e-12 * size, rtol=0)
    full = np.linalg.eigvalsh(expected)
    np.testing.assert_allclose(ν, full[len(full) - len(ν) :], atol=1e-12 * size, rtol=0)
    np.testing.assert_allclose(full[: len(full) - len(ν)], 0, atol=1e-12 * size)
    assert full[0] > -1e-13 * size


@pytest.mark.parametrize("name", ["quadratic", "logistic-cost", "logistic-regression"])
def test_g_is_the_losss_hessian_where_outputs_are_linear_in_the_weights(name):
    J, w = small(name)
    l2 = np.diag(np.broadcast_to(J.problem.l2_diagonal(), w.shape))
    H = np.asarray(hessian_of(J, w)) - l2
    np.testing.assert_allclose(found(J, w)[0], H, atol=1e-13)


def test_g_is_not_the_hessian_of_a_network_but_their_difference_is_the_residuals():
    """H - G = E[Σ_k ∂L/∂z_k ∇²z_k]: with residuals r the difference is E[r ∇²z]."""
    J = objective(make_problem("regression-network", size=10))
    w = J.problem.start(0)

    @jax.jit
    def residual_term(w):
        def of_one(x, t):
            def z(w):
                return J.problem.outputs(w, x[None])[0, 0]

            return (z(w) - t[0]) * jax.jacfwd(jax.grad(z))(w)

        return jnp.mean(jax.vmap(of_one)(*map(jnp.asarray, J.batch)), axis=0)

    difference = np.asarray(hessian_of(J, w)) - np.asarray(found(J, w)[0])
    expected = np.asarray(residual_term(w))
    assert np.linalg.norm(expected) > 0.01
    np.testing.assert_allclose(difference, expected, atol=1e-13)
