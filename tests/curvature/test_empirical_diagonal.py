"""The mean squared gradient against one gradient an example, and the preconditioner made of it."""

import jax
import numpy as np
import pytest

from secondorder import catalog
from secondorder.core import Batch
from secondorder.curvature.empirical_diagonal import empirical_diagonal, preconditioner
from tests.oracles import small

diagonal = jax.jit(empirical_diagonal)


@jax.jit
def one_gradient(J, w, x, t):
    return jax.grad(J.problem.loss)(w, Batch(x[None], t[None]))


@pytest.mark.parametrize("name", catalog.all_problems())
def test_it_is_the_mean_of_squared_gradients_one_by_one(name):
    J, w = small(name)
    gradients = [one_gradient(J, w, x, t) for x, t in zip(J.batch.inputs, J.batch.targets, strict=True)]
    expected = np.mean(np.square(gradients), axis=0)
    np.testing.assert_allclose(diagonal(J, w), expected, rtol=1e-9, atol=1e-14 * expected.max())


def test_the_preconditioner_adds_both_dampings_and_flattens():
    J, w = small("logistic-regression")  # the intercept is not penalized
    expected = (np.asarray(diagonal(J, w)) + 0.2 + np.asarray(J.problem.l2_diagonal())) ** 0.75
    np.testing.assert_allclose(jax.jit(preconditioner)(J, w, 0.2), expected, rtol=1e-12)


def test_undamped_it_leaves_alone_what_no_example_depends_on():
    J, w = small("digits-classifier")
    J = J.__class__(J.problem.__class__(widths=(64, 4, 10), dtype="float64", l2=0.0), J.batch)
    M = np.asarray(jax.jit(preconditioner)(J, w, 0.0))
    unused = np.asarray(diagonal(J, w)) == 0
    assert unused.any(), "pixels in the corners are always 0"
    np.testing.assert_array_equal(M[unused], 1.0)
    assert (M > 0).all()
