"""The empirical Fisher matrix from its definition, and where it is F's namesake only."""

import jax
import numpy as np
import pytest

from secondorder import catalog
from secondorder.curvature.empirical_fisher import empirical_fisher, empirical_fisher_products
from secondorder.curvature.fisher import fisher
from tests.oracles import make_problem, objective, small

PREDICTING = [name for name, cls in catalog.all_problems().items() if cls.predicts]


@jax.jit
def found(J, w):
    E = empirical_fisher(J, w)
    return E.matrix, E.multiply(w), E.eigenvalues(), fisher(J, w).matrix


@jax.jit
def products(J, w):
    E = empirical_fisher_products(J, w)
    return E.matrix, E.multiply(w)


@jax.jit
def gradients(J, w):
    """Of each example's loss by itself (B, D): one Jacobian of all the losses."""

    def losses(w):
        return jax.vmap(J.problem.likelihood.loss)(J.problem.outputs(w, J.batch.inputs), J.batch.targets)

    return jax.jacrev(losses)(w)


@pytest.mark.parametrize("name", PREDICTING)
def test_it_is_the_second_moment_of_the_examples_own_gradients(name):
    J, w = small(name)
    E, Ew, ν, _ = (np.asarray(part) for part in found(J, w))
    g = np.asarray(gradients(J, w))
    expected = g.T @ g / len(g)
    size = float(np.linalg.norm(expected, 2))
    np.testing.assert_allclose(E, expected, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(Ew, expected @ w + J.problem.l2_diagonal() * w, atol=1e-12 * size, rtol=0)
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(expected), atol=1e-12 * size, rtol=0)
    by_products, Ew = (np.asarray(part) for part in products(J, w))
    np.testing.assert_allclose(by_products, expected, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(Ew, expected @ w + J.problem.l2_diagonal() * w, atol=1e-12 * size, rtol=0)


def test_of_linear_regression_it_weighs_each_input_by_its_squared_residual():
    """E[r² x̄x̄ᵀ] where F is E[x̄x̄ᵀ]: far from the minimum many times F, at the minimum less."""
    J = objective(make_problem("linear-regression"))
    x = np.column_stack([J.batch.inputs, np.ones(len(J.batch.inputs))])
    ratios = []
    for w in ([-1.5, 1.0], [0.58645013, -0.58645013]):
        r = x @ w - J.batch.targets[:, 0]
        E, *_, F = (np.asarray(part) for part in found(J, np.array(w)))
        np.testing.assert_allclose(E, (x.T * r**2) @ x / len(x), rtol=1e-12)
        ratios.append(np.trace(E) / np.trace(F))
    assert ratios[0] > 5
    assert ratios[1] < 0.75


def test_data_drawn_from_the_model_make_it_f():
    """With targets from the model in the place of the data's the two agree in expectation: 20,000 for each input."""
    J, w = small("linear-regression")
    rng = np.random.default_rng(0)
    z = np.asarray(J.problem.outputs(w, J.batch.inputs))
    x, t = np.tile(J.batch.inputs, (20_000, 1)), np.tile(z, (20_000, 1)) + rng.standard_normal((20_000 * len(z), 1))
    E, *_ = found(type(J)(J.problem, type(J.batch)(x, t)), w)
    F = np.asarray(found(J, w)[3])
    assert np.linalg.norm(E - F) < 0.01 * np.linalg.norm(F)
