"""F by enumerating or sampling targets, and that it is G for these likelihoods."""

import itertools
from functools import partial

import jax
import numpy as np
import pytest
from scipy import special

from secondorder import catalog
from secondorder.core import Batch, Objective
from secondorder.curvature.empirical_fisher import empirical_fisher
from secondorder.curvature.fisher import fisher, sampled_fisher
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.likelihoods import Logistic, Softmax
from secondorder.pullback import pseudo_gradient
from tests.oracles import hessian_of, make_problem, small

PREDICTING = [name for name, cls in catalog.all_problems().items() if cls.predicts]

matrices = jax.jit(lambda J, w: (fisher(J, w).matrix, gauss_newton(J, w).matrix, fisher(J, w).multiply(w)))


@jax.jit
def jacobians(J, w):
    """Outputs (B, K) and their Jacobian (B, K, D), all examples at once."""

    def z(w):
        return J.problem.outputs(w, J.batch.inputs)

    return z(w), jax.jacrev(z)(w)


def second_moments(likelihood, z):
    """E[Dz Dzᵀ] (K, K) over every target that the model can produce, for one example, with Dz = -∂ log r(t|z)/∂z."""
    if isinstance(likelihood, Softmax):
        p = special.softmax(z)
        return sum(p[k] * np.outer(p - row, p - row) for k, row in enumerate(np.eye(len(z))))
    if isinstance(likelihood, Logistic):
        # The outputs are independent: a pair of them has four targets, an output by itself two.
        p = special.expit(z)
        probability, Dz = np.array([1 - p, p]), np.array([p, p - 1])
        pairs = np.einsum("ai,ai,bj,bj->ij", probability, Dz, probability, Dz)
        return np.where(np.eye(len(z)), np.sum(probability * Dz**2, axis=0), pairs)
    # A Gaussian's targets z + x: Gauss-Hermite quadrature is exact for its second moments.
    nodes, weights = special.roots_hermitenorm(5)
    grid = itertools.product(zip(nodes, weights / weights.sum(), strict=True), repeat=len(z))
    return sum(np.prod([w for _, w in point]) * np.outer(x, x) for point in grid for x in [[x for x, _ in point]])


@pytest.mark.parametrize("name", PREDICTING)
def test_f_is_the_second_moment_of_gradients_over_all_targets_and_examples(name):
    J, w = small(name)
    F, G, Fw = (np.asarray(part) for part in matrices(J, w))
    z, Jzw = (np.asarray(part) for part in jacobians(J, w))
    moments = np.array([second_moments(J.problem.likelihood, z_n) for z_n in z])
    expected = np.einsum("bki,bkl,blj->ij", Jzw, moments, Jzw, optimize=True) / len(z)
    size = float(np.linalg.norm(expected, 2))
    np.testing.assert_allclose(F, expected, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(F, G, atol=1e-13 * size, rtol=0)
    np.testing.assert_allclose(Fw, F @ w + J.problem.l2_diagonal() * w, atol=1e-12 * size, rtol=0)


# One problem for each likelihood: how far from its start, its targets a chunk, and how many chunks.
SAMPLED = {
    "linear-regression": ({}, 0.2, 64, 1024),
    "logistic-regression": ({"features": ("mean radius", "worst concavity")}, 2.0, 64, 1024),
    "digits-classifier": ({"widths": (64, 2, 10), "dtype": "float64"}, 0.2, 16, 256),
}


@partial(jax.jit, static_argnames=("samples", "chunks"))
def sampled(J, w, samples, chunks):
    """Sampled Fisher matrices (chunks, D, D) of so many targets an example each."""
    keys = jax.random.split(jax.random.key(5), chunks)
    return jax.lax.map(lambda key: sampled_fisher(J, w, key, samples).matrix, keys)


@partial(jax.jit, static_argnames="samples")
def of_whole_batches(J, w, samples):
    """Pseudo-gradients (samples, D), each of them one backward pass over the whole batch."""
    return jax.lax.map(lambda key: pseudo_gradient(J, w, key), jax.random.split(jax.random.key(6), samples))


def case(name):
    fields, distance, *size = SAMPLED[name]
    problem = make_problem(name, **fields)
    batch = Batch(*(np.asarray(part)[:20] for part in problem.data(0).train))
    w = problem.start(0) + distance * np.random.default_rng(7).standard_normal(problem.dimension)
    return Objective(problem, batch), w, *size


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_approach_f_at_the_rate_one_over_root_s_and_the_empirical_fisher_does_not(name):
    """Mean squared errors in Frobenius norm over three decades of S: their slope in a log-log plot is -1."""
    J, w, samples, chunks = case(name)
    F = np.asarray(matrices(J, w)[0])
    found = np.asarray(sampled(J, w, samples, chunks))
    sizes, errors = [], []
    for joined in (1, 4, 16, 64, 256)[: 4 if chunks < 1024 else 5]:
        means = found.reshape(-1, joined, *F.shape).mean(axis=1)
        sizes.append(samples * joined)
        errors.append(np.mean(np.sum((means - F) ** 2, axis=(1, 2))) / np.sum(F**2))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope + 1) < 0.1
    assert np.sqrt(errors[-1]) < 0.03
    E = np.asarray(jax.jit(lambda J, w: empirical_fisher(J, w).matrix)(J, w))
    assert np.linalg.norm(E - F) > 0.2 * np.linalg.norm(F)


@pytest.mark.parametrize("name", SAMPLED)
def test_one_backward_pass_over_a_batch_has_covariance_f(name):
    """E[Dw] = 0 and E[Dw Dwᵀ] = F, along some directions, within five standard errors."""
    J, w, *_ = case(name)
    F, samples = np.asarray(matrices(J, w)[0]), 20_000
    Dw = np.asarray(of_whole_batches(J, w, samples))
    u = np.random.default_rng(0).standard_normal((6, len(w)))
    along = Dw @ u.T
    deviation = along.std(axis=0) / np.sqrt(samples)
    assert np.all(np.abs(along.mean(axis=0)) < 5 * deviation)
    error = np.abs(np.mean(along**2, axis=0) - np.einsum("ki,ij,kj->k", u, F, u))
    assert np.all(error < 5 * np.std(along**2, axis=0) / np.sqrt(samples))


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
