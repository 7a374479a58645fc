"""The blocks of G against those of a dense Jacobian's, and what is done with them."""

import jax
import numpy as np
import pytest

from secondorder.curvature.block_diagonal import block_diagonal
from tests.curvature.networks import CATALOGUED, own, taken
from tests.oracles import gauss_newton_of

found = jax.jit(lambda J, w, v, η: ((C := block_diagonal(J, w)).matrix, C.multiply(v), C.solve(v, η), C.eigenvalues()))


@pytest.mark.parametrize("name", CATALOGUED)
def test_blocks_are_those_of_g_and_what_lies_between_them_is_zero(name):
    J, w = taken(name)
    v = np.random.default_rng(0).standard_normal(w.shape)
    C, Cv, (x, singular), ν = (jax.device_get(part) for part in found(J, w, v, 0.1))
    G = np.asarray(gauss_newton_of(J, w))
    expected = np.zeros_like(G)
    for part in J.problem.network.slices:
        expected[part, part] = G[part, part]
    size = float(np.linalg.norm(expected, 2))
    np.testing.assert_allclose(C, expected, atol=1e-13 * size, rtol=0)
    L = np.diag(np.broadcast_to(J.problem.l2_diagonal(), w.shape))
    np.testing.assert_allclose(Cv, (expected + L) @ v, atol=1e-12 * size, rtol=0)
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(expected), atol=1e-12 * size, rtol=0)
    assert not singular
    np.testing.assert_allclose(
        (expected + L + 0.1 * np.eye(len(w))) @ x, v, atol=1e-12 * size * float(np.linalg.norm(x))
    )


def test_one_layer_is_all_of_g():
    J, w = taken("logistic-regression")
    np.testing.assert_allclose(found(J, w, w, 1.0)[0], gauss_newton_of(J, w), atol=1e-15)


def test_a_singular_block_is_told():
    """A softmax's outputs may be shifted together: undamped its last block is singular, damped it is not."""
    J, w = own(loss_on="softmax")
    assert found(J, w, w, 0.0)[2][1]
    assert not found(J, w, w, 1e-8)[2][1]
