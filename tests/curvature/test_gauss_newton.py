"""G against dense Jacobians with Gz differentiated from the loss itself, on every problem that has one."""

import jax
import numpy as np
import pytest

from secondorder import catalog
from secondorder.curvature.gauss_newton import gauss_newton, gauss_newton_products
from tests.oracles import gauss_newton_of, hessian_of, small

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
    size = float(np.linalg.norm(expected, 2))
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


def test_g_differs_from_the_hessian_by_the_curvature_of_the_residuals():
    """H - G = Σ_k ∂L/∂z_k ∇²z_k: of Rosenbrock only 10 (y - x²) is curved, which makes -400 (y - x²) in x alone."""
    J, (x, y) = small("rosenbrock")
    w = np.array([x, y])
    difference = np.asarray(hessian_of(J, w)) - np.asarray(found(J, w)[0])
    np.testing.assert_allclose(difference, [[-400 * (y - x**2), 0], [0, 0]], atol=1e-11)


@jax.jit
def matrix_free(J, w, v):
    dense, free = gauss_newton(J, w), gauss_newton_products(J, w)
    return [(G.matrix, G.multiply(v), G.eigenvalues(), G.solve(v, 0.1)[0]) for G in (dense, free)]


@pytest.mark.parametrize("name", WITH_OUTPUTS)
def test_by_its_products_g_is_the_dense_one(name):
    J, w = small(name)
    v = np.random.default_rng(4).standard_normal(len(w))
    (G, Gv, ν, x), free = jax.device_get(matrix_free(J, w, v))
    tolerance = 1e-12 * float(ν[-1] * np.linalg.norm(v))
    for found, expected in zip(free[:3], (G, Gv, ν), strict=True):
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
    np.testing.assert_allclose(free[3], x, atol=1e-8 * float(np.linalg.norm(x)), rtol=0)


def test_a_product_costs_no_new_forward_pass():
    """Linearized once: the outputs are computed as often with three products as with one."""
    J, w = small("regression-network")

    def tanhs(products: int) -> int:
        def several(w, vs):
            G = gauss_newton_products(J, w)
            return [G.multiply(v) for v in vs]

        return str(jax.make_jaxpr(several)(w, [w] * products)).count("tanh")

    assert tanhs(1) == tanhs(3) == 2
