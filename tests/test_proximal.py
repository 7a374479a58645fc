"""The proximal objective: value, gradient and matrix against terms written out; the divergence by its definition."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax, xlogy

from secondorder.core import Batch, Objective
from secondorder.likelihoods import Logistic, Softmax, SquaredError
from secondorder.proximal import DISTANCES, LOSSES, MATRICES, divergence, proximal_objective
from tests.oracles import gauss_newton_of, gradient_of, hessian_of, small, value

λ, η = 0.7, 0.3


def bernoulli(z, z_k):
    p, q = 1 / (1 + np.exp(-z_k)), 1 / (1 + np.exp(-z))
    return np.sum(xlogy(p, p / q) + xlogy(1 - p, (1 - p) / (1 - q)))


def categorical(z, z_k):
    return softmax(z_k) @ (log_softmax(z_k) - log_softmax(z))


@pytest.mark.parametrize(
    ("likelihood", "definition"),
    [
        (SquaredError(), lambda z, z_k: np.sum((z - z_k) ** 2) / 2),
        (Logistic(), bernoulli),
        (Softmax(), categorical),
    ],
    ids=["squared error", "logistic", "softmax"],
)
def test_the_divergence_is_its_definition(likelihood, definition):
    rng = np.random.default_rng(0)
    for size in (0.1, 1.0, 4.0):
        z_k, move = rng.standard_normal((2, 5))
        z = z_k + size * move
        found = divergence(likelihood, jnp.asarray(z), jnp.asarray(z_k))
        np.testing.assert_allclose(found, definition(z, z_k), rtol=1e-10, atol=1e-14)
    H = jax.hessian(lambda z: divergence(likelihood, z, jnp.asarray(z_k)))(jnp.asarray(z))
    R = likelihood.root(jnp.asarray(z))
    np.testing.assert_allclose(H, R.T @ R, atol=1e-12)


def at(J: Objective, inputs: Any) -> Objective:
    """J on other inputs, with targets of the right shape: nothing that is asked of it looks at them."""
    return Objective(J.problem, Batch(inputs, jnp.asarray(J.batch.targets)[: len(inputs)]))


@jax.jit
def distance_of(J: Objective, w: Any, w_k: Any) -> jax.Array:
    z, z_k = (J.problem.outputs(u, J.batch.inputs) for u in (w, w_k))
    likelihood = J.problem.likelihood
    assert likelihood is not None
    return jnp.mean(jax.vmap(lambda z, z_k: divergence(likelihood, z, z_k))(z, z_k))


def expected(J: Any, w: Any, δ: Any, loss: str, distance: str, matrix: str, inputs: Any) -> tuple[Any, Any, Any]:
    """Value, gradient and matrix of Q at δ, term by term."""
    D, l2 = len(w), np.diag(J.problem.l2_diagonal() * np.ones(len(w)))
    g, there = np.asarray(gradient_of(J, w)), w + δ if loss == "exact" else w
    C = np.asarray(hessian_of(J, there) if matrix == "hessian" else gauss_newton_of(J, there) + l2)
    K = J if inputs is None else at(J, inputs)
    G = np.asarray(gauss_newton_of(K, w))
    ρ, slope = jax.value_and_grad(distance_of, 1)(K, w + δ, w)
    Q, dQ, A = {
        "linear": (value(J, w) + g @ δ, g, 0.0),
        "quadratic": (value(J, w) + g @ δ + δ @ C @ δ / 2, g + C @ δ, C),
        "exact": (value(J, w + δ), np.asarray(gradient_of(J, w + δ)), C),
    }[loss]
    q, dq, a = {
        "none": (0.0, 0.0, 0.0),
        "quadratic": (δ @ G @ δ / 2, G @ δ, G),
        "exact": (ρ, slope, jax.hessian(distance_of, 1)(K, w + δ, w) if matrix == "hessian"
                  else np.asarray(gauss_newton_of(K, w + δ))),
    }[distance]  # fmt: skip
    return Q + λ * q + η / 2 * δ @ δ, dQ + λ * dq + η * δ, A + λ * a + η * np.eye(D)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["on the batch", "elsewhere"])
@pytest.mark.parametrize("name", ["himmelblau", "logistic-regression"])
def test_value_gradient_and_matrix_are_the_terms_together(name, elsewhere):
    J, w = small(name)
    δ = 0.1 * np.random.default_rng(1).standard_normal(len(w))
    inputs = 1.3 * J.batch.inputs[:12] + 0.1 if elsewhere else None
    for loss, distance, matrix in itertools.product(LOSSES, DISTANCES, MATRICES):

        @jax.jit
        def found(J, w, δ, inputs, loss=loss, distance=distance, matrix=matrix):
            Q = proximal_objective(J, w, loss=loss, distance=distance, matrix=matrix, fsd=λ, wsd=η, inputs=inputs)
            return Q.value(δ), Q.gradient(δ), jax.lax.map(Q.curvature(δ), jnp.eye(len(w)), batch_size=32)

        for told, known in zip(found(J, w, δ, inputs), expected(J, w, δ, loss, distance, matrix, inputs), strict=True):
            np.testing.assert_allclose(told, known, atol=1e-11, err_msg=f"{loss}, {distance}, {matrix}")
