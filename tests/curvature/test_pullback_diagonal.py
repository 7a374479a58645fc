"""The diagonal of G, exact and sampled, against dense Jacobians; and a diagonal matrix as a curvature."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder import catalog
from secondorder.curvature.pullback_diagonal import Diagonal, exact_diagonal, pullback_diagonal
from tests.oracles import gauss_newton_of, small

PREDICTING = [name for name, cls in catalog.all_problems().items() if cls.predicts]

exact = jax.jit(lambda J, w: exact_diagonal(J, w).diagonal)


@partial(jax.jit, static_argnames="samples")
def sampled(J, w, samples):
    return pullback_diagonal(J, w, jax.random.key(2), samples).diagonal


@pytest.mark.parametrize("name", PREDICTING)
def test_the_exact_diagonal_is_that_of_the_dense_matrix(name):
    J, w = small(name)
    G = np.asarray(gauss_newton_of(J, w))
    np.testing.assert_allclose(exact(J, w), np.diagonal(G), rtol=1e-10, atol=1e-13 * np.max(G))


@pytest.mark.parametrize("name", PREDICTING)
def test_the_mean_of_squares_tends_to_the_diagonal(name):
    """Dw_i is nearly normal, so that the mean of S squares has a deviation of about √(2/S) G_ii."""
    J, w = small(name)
    d, found = np.asarray(exact(J, w)), np.asarray(sampled(J, w, 4000))
    seen = d > 1e-12 * d.max()
    error = (found[seen] / d[seen] - 1) / np.sqrt(2 / 4000)
    assert np.abs(error).max() < 6
    assert np.sqrt(np.mean(error**2)) < 1.6
    np.testing.assert_allclose(found[~seen], 0, atol=1e-12 * d.max())


def diagonal(*entries):
    return Diagonal(jnp.array(entries))


def test_a_diagonal_matrix_multiplies_solves_and_tells_its_spectrum():
    d, l2, v = np.array([3.0, 0.5, 2.0]), np.array([0.1, 0.1, 0.0]), jnp.array([1.0, -2.0, 4.0])
    C = diagonal(*d)._replace(l2=jnp.asarray(l2))
    whole = np.diag(d + l2)
    np.testing.assert_array_equal(C.matrix, np.diag(d))
    np.testing.assert_allclose(C.multiply(v), whole @ v, rtol=1e-15)
    x, singular = C.solve(v, 0.7)
    np.testing.assert_allclose(x, np.linalg.solve(whole + 0.7 * np.eye(3), v), rtol=1e-14)
    assert not singular
    np.testing.assert_array_equal(C.eigenvalues(), [0.5, 2.0, 3.0])
    ν, Q = (np.asarray(part) for part in C.spectrum())
    np.testing.assert_array_equal(Q @ np.diag(ν) @ Q.T, np.diag(d))


def test_a_zero_undamped_is_singular_and_however_small_an_entry_is_not():
    ones = jnp.ones(2)
    assert diagonal(1.0, 0.0).solve(ones)[1]
    assert diagonal(1.0, np.nan).solve(ones)[1]
    x, singular = diagonal(1e100, 1e-100).solve(ones)
    assert not singular
    np.testing.assert_allclose(x, [1e-100, 1e100])
    assert not diagonal(1.0, 0.0).solve(ones, 1e-12)[1]
