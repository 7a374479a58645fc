"""Pseudo-gradients and what layers record, against dense Jacobians of all outputs in all weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder import catalog
from secondorder.network import homogeneous
from secondorder.pullback import moments, pseudo_gradient, pseudo_gradients, record, sample_outputs
from tests.oracles import gauss_newton_of, make_problem, objective, small

PREDICTING = [name for name, cls in catalog.all_problems().items() if cls.predicts]
LAYERED = [name for name in PREDICTING if make_problem(name).network is not None]
KEY = jax.random.key(3)


@jax.jit
def dense(J, w):
    """Outputs (B, K) and their Jacobian (B, K, D)."""

    def z(w):
        return J.problem.outputs(w, J.batch.inputs)

    return z(w), jax.jacrev(z)(w)


@jax.jit
def pulled(J, w):
    """The targets drawn with one key, pulled back: Dz, of each example by itself, and of the batch."""
    z = J.problem.outputs(w, J.batch.inputs)
    return sample_outputs(J, z, KEY), pseudo_gradients(J, w, KEY), pseudo_gradient(J, w, KEY)


@pytest.mark.parametrize("name", PREDICTING)
def test_pseudo_gradients_are_the_outputs_pulled_back_by_the_jacobian(name):
    J, w = small(name)
    Dz, each, whole = (np.asarray(part) for part in pulled(J, w))
    _, Jzw = (np.asarray(part) for part in dense(J, w))
    expected = np.einsum("bki,bk->bi", Jzw, Dz)
    np.testing.assert_allclose(each, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(whole, expected.sum(axis=0) / np.sqrt(len(Dz)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PREDICTING)
def test_other_keys_draw_other_targets(name):
    J, w = small(name)
    z = J.problem.outputs(jnp.asarray(w), J.batch.inputs)
    draw = jax.jit(lambda z, seed: sample_outputs(J, z, jax.random.key(seed)))
    drawn = np.array([draw(z, seed) for seed in (3, 3, 4, 5, 6)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len(np.unique(drawn, axis=0)) > 1
    if len(z) > 1:
        assert np.any(drawn[0, 0] != drawn[0, 1])


@jax.jit
def recorded(J, w, Dz):
    seen = record(J, w)
    return seen.z, seen.inputs, seen.pull_back(Dz)


@pytest.mark.parametrize("name", LAYERED)
def test_a_record_has_outputs_inputs_and_the_way_back(name):
    """Ds_lᵀ ā_(l-1), layer after layer, are the gradients of Σ Dz·z in the weights."""
    J, w = small(name)
    Dz = np.random.default_rng(1).standard_normal(np.shape(dense(J, w)[0]))
    z, inputs, Ds = recorded(J, w, Dz)
    expected_z, Jzw = dense(J, w)
    np.testing.assert_allclose(z, expected_z, rtol=1e-12)
    np.testing.assert_array_equal(inputs[0], J.batch.inputs)
    blocks = [d.T @ homogeneous(a) for d, a in zip(Ds, inputs, strict=True)]
    expected = np.einsum("bki,bk->i", Jzw, Dz)
    np.testing.assert_allclose(J.problem.network.join(blocks), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", LAYERED)
def test_exact_moments_are_the_diagonal_blocks_of_g(name):
    """Σ over examples and rows of Gz^(1/2) of vec(DW̄) vec(DW̄)ᵀ: the block of each layer in G."""
    J, w = small(name)
    network = J.problem.network

    @jax.jit
    def blocks(J, w):
        seen = record(J, w)

        def squares(Ds):
            DW = [(d[:, :, None] * homogeneous(a)[:, None]).reshape(len(d), -1)
                  for d, a in zip(Ds, seen.inputs, strict=True)]  # fmt: skip
            return [d.T @ d / len(d) for d in DW]

        return moments(J, seen, squares, exact=True)

    G = np.asarray(gauss_newton_of(J, w))
    for block, part in zip(blocks(J, w), network.slices, strict=True):
        np.testing.assert_allclose(block, G[part, part], atol=1e-12 * np.abs(G).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_the_weights(dtype):
    problem = make_problem("digits-classifier", widths=(64, 3, 10), dtype=dtype)
    J, w = objective(problem), problem.start(0)
    assert {part.dtype for part in jax.tree.leaves((pulled(J, w), recorded(J, w, pulled(J, w)[0])))} == {
        np.dtype(dtype)
    }


def test_what_has_no_predictions_or_no_layers_says_so():
    with pytest.raises(AssertionError, match="no layers"):
        record(objective(make_problem("logistic-cost")), jnp.zeros(2))
    with pytest.raises(AssertionError, match="no predictive distribution"):
        sample_outputs(objective(make_problem("saddle")), jnp.zeros((1, 2)), KEY)
