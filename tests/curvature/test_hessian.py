"""H with its l2 term, and the l2 term's place. (Against differences: problems/test_derivatives.py.)"""

import jax
import numpy as np
import pytest

from secondorder import catalog
from secondorder.core import TOY, Objective
from secondorder.curvature.hessian import hessian, hessian_products
from tests.oracles import make_problem, objective, small

products = jax.jit(lambda J, w, v: (hessian(J, w).matrix, hessian(J, w).multiply(v), hessian(J, w).spectrum()[0]))


def test_the_hessian_holds_the_l2_term_in_all_it_does():
    w, v = np.random.default_rng(0).standard_normal((2, 31))
    with_l2, without = (objective(make_problem("logistic-regression", l2=l2)) for l2 in (0.5, 0.0))
    H, Hv, ν = (np.asarray(part) for part in products(with_l2, w, v))
    bare = np.asarray(products(without, w, v)[0])
    np.testing.assert_allclose(H - bare, 0.5 * np.diag([1.0] * 30 + [0.0]), atol=1e-14)
    np.testing.assert_allclose(Hv, H @ v, rtol=1e-12)
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(H), atol=1e-13)


def test_an_indefinite_hessian_is_told_as_it_is():
    H, Hv, ν = products(Objective(make_problem("saddle"), TOY), np.array([0.3, 0.5]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(H, np.diag([1.0, 3 * 0.25 - 1]), atol=1e-16)
    np.testing.assert_allclose(Hv, [1.0, -0.5], atol=1e-15)
    np.testing.assert_allclose(ν, [-0.25, 1.0], atol=1e-16)


@jax.jit
def matrix_free(J, w, v):
    dense, free = hessian(J, w), hessian_products(J, w)
    return [(H.matrix, H.multiply(v), H.eigenvalues()) for H in (dense, free)]


@pytest.mark.parametrize("name", catalog.all_problems())
def test_by_its_products_h_is_the_dense_one(name):
    J, w = small(name)
    v = np.random.default_rng(4).standard_normal(len(w))
    dense, free = jax.device_get(matrix_free(J, w, v))
    tolerance = 1e-12 * float(np.abs(dense[2]).max() * np.linalg.norm(v))
    for found, expected in zip(free, dense, strict=True):
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
