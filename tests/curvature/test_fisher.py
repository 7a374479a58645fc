"""F by enumerating or sampling targets, and that it is G for these likelihoods."""

import itertools

import jax
import numpy as np
import pytest
from scipy import special

from secondorder import catalog
from secondorder.curvature.fisher import fisher
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.likelihoods import Logistic, Softmax
from tests.oracles import hessian_of, small

PREDICTING = [name for name, cls in catalog.all_problems().items() if cls.predicts]

matrices = jax.jit(lambda J, w: (fisher(J, w).matrix, gauss_newton(J, w).matrix, fisher(J, w).multiply(w)))


@jax.jit
def jacobians(J, w):
    """Outputs (B, K) and their Jacobian (B, K, D), all examples at once."""

    def z(w):
        return J.problem.outputs(w, J.batch.inputs)

    return z(w), jax.jacrev(z)(w)


def targets(likelihood, z):
    """Every target that the model can produce, with its probability, and Dz = -∂ log r(t|z)/∂z, for one example."""
    if isinstance(likelihood, Softmax):
        p = special.softmax(z)
        return [(p[k], p - np.eye(len(z))[k]) for k in range(len(z))]
    if isinstance(likelihood, Logistic):
        p = special.expit(z)
        return [(np.prod(np.where(t, p, 1 - p)), p - np.array(t)) for t in itertools.product([0.0, 1.0], repeat=len(z))]
    # A Gaussian's targets z + x: Gauss-Hermite quadrature is exact for its second moments.
    nodes, weights = special.roots_hermitenorm(5)
    grid = itertools.product(zip(nodes, weights / weights.sum(), strict=True), repeat=len(z))
    return [(np.prod([w for _, w in point]), -np.array([x for x, _ in point])) for point in grid]


@pytest.mark.parametrize("name", PREDICTING)
def test_f_is_the_second_moment_of_gradients_over_all_targets_and_examples(name):
    J, w = small(name)
    F, G, Fw = (np.asarray(part) for part in matrices(J, w))
    z, Jzw = (np.asarray(part) for part in jacobians(J, w))
    expected = np.zeros_like(F)
    for z_n, J_n in zip(z, Jzw, strict=True):
        for probability, Dz in targets(J.problem.likelihood, z_n):
            Dw = J_n.T @ Dz
            expected += probability * np.outer(Dw, Dw) / len(z)
    size = float(np.linalg.norm(expected, 2))
    np.testing.assert_allclose(F, expected, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(F, G, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(Fw, F @ w + J.problem.l2_diagonal() * w, atol=1e-12 * size, rtol=0)


def test_sampled_targets_approach_f_at_the_rate_one_over_root_s():
    J, w = small("digits-classifier")
    F = np.asarray(matrices(J, w)[0])
    z, Jzw = (np.asarray(part) for part in jacobians(J, w))
    p, rng = special.softmax(z, axis=1), np.random.default_rng(0)
    u = rng.standard_normal((6, len(w)))
    exact = np.einsum("ki,ij,kj->k", u, F, u)
    for samples in (400, 40_000):
        squares = np.zeros((len(u), samples))
        for p_n, J_n in zip(p, Jzw, strict=True):
            t = rng.choice(10, size=samples, p=p_n)
            Dz = p_n[:, None] - np.eye(10)[:, t]
            squares += ((u @ J_n.T) @ Dz) ** 2 / len(p)
        error = np.abs(squares.mean(axis=1) - exact)
        assert np.all(error < 5 * squares.std(axis=1) / np.sqrt(samples))


def test_targets_from_the_data_would_give_another_matrix():
    """The empirical Fisher matrix, which takes t from the data, is not F: at the start it is a multiple off."""
    J, w = small("digits-classifier")
    F = np.asarray(matrices(J, w)[0])
    z, Jzw = (np.asarray(part) for part in jacobians(J, w))
    Dz = special.softmax(z, axis=1) - np.eye(10)[J.batch.targets]
    Dw = np.einsum("bki,bk->bi", Jzw, Dz)
    empirical = Dw.T @ Dw / len(z)
    assert np.linalg.norm(empirical - F) > 0.3 * np.linalg.norm(F)


@pytest.mark.parametrize("name", ["logistic-regression", "logistic-cost"])
def test_h_g_and_f_of_logistic_losses_are_one_and_l2_adds_to_h_alone(name):
    J, w = small(name)
    F, G, _ = (np.asarray(part) for part in matrices(J, w))
    H = np.asarray(hessian_of(J, w))
    l2 = np.diag(np.broadcast_to(J.problem.l2_diagonal(), w.shape))
    np.testing.assert_allclose(H, G + l2, atol=1e-14)
    np.testing.assert_allclose(F, G, atol=1e-15)
    if name == "logistic-regression":
        x = J.batch.inputs
        p = special.expit(x @ w[:-1] + w[-1])
        Xb = np.column_stack([x, np.ones(len(x))])
        np.testing.assert_allclose(G, (Xb.T * (p * (1 - p))) @ Xb / len(x), atol=1e-14)
        np.testing.assert_allclose(np.diagonal(H - G), [*[0.03] * 30, 0], atol=1e-14)
