"""Kronecker products as the lecture states them, factors against a pass by hand, factored solves against dense ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.core import Objective
from secondorder.curvature.kronecker import FAULTS, Factors, diagonalize, estimate, invert, kronecker
from secondorder.solve import pi
from tests.curvature.networks import CATALOGUED, factors_by_hand, own, taken
from tests.oracles import gauss_newton_of, symmetric

factors = jax.jit(lambda J, w: estimate(J, w, exact=True))
found = jax.jit(lambda J, w, v, η: ((C := kronecker(J, w)).matrix, C.multiply(v), C.solve(v, η), C.eigenvalues()))
inverted, diagonalized = jax.jit(invert), jax.jit(diagonalize)


def of_layer(A, S):
    """`Factors` of a single layer."""
    return Factors([jnp.asarray(A)], [jnp.asarray(S)])


def random_factors(rng, n, m, κ):
    A = symmetric(np.geomspace(1, 1 / np.sqrt(κ), n), int(rng.integers(1e6)))
    return A, symmetric(np.geomspace(1, 1 / np.sqrt(κ), m), int(rng.integers(1e6)))


def test_the_lectures_identities():
    """With vec stacking columns: vec(AXB) = (Bᵀ ⊗ A) vec(X), products, transposes, inverses, vec(uvᵀ) = v ⊗ u."""
    rng = np.random.default_rng(0)
    A, C = rng.standard_normal((2, 3, 3))
    B, D = rng.standard_normal((2, 4, 4))
    X, (u, v) = rng.standard_normal((3, 4)), (rng.standard_normal(3), rng.standard_normal(4))

    def vec(M):
        return M.ravel(order="F")

    np.testing.assert_allclose(vec(A @ X @ B), np.kron(B.T, A) @ vec(X), atol=1e-13)
    np.testing.assert_allclose(np.kron(A, B) @ np.kron(C, D), np.kron(A @ C, B @ D), atol=1e-12)
    np.testing.assert_array_equal(np.kron(A, B).T, np.kron(A.T, B.T))
    np.testing.assert_allclose(np.linalg.inv(np.kron(A, B)), np.kron(np.linalg.inv(A), np.linalg.inv(B)), atol=1e-11)
    np.testing.assert_array_equal(vec(np.outer(u, v)), np.kron(v, u))


def test_the_products_solve_and_eigenvalues_are_those_of_the_kronecker_product():
    """The same facts of what the code does, whose weights stand row by row: a block is S ⊗ A there."""
    rng = np.random.default_rng(1)
    A, S = random_factors(rng, 5, 3, 100.0)
    V = rng.standard_normal((3, 5))
    (U,) = inverted(of_layer(A, S), 0.0).apply([jnp.asarray(V)])
    block = np.kron(S, A)
    np.testing.assert_allclose(block @ np.ravel(U), V.ravel(), atol=1e-13)
    np.testing.assert_allclose(np.kron(A, S) @ np.asarray(U).ravel(order="F"), V.ravel(order="F"), atol=1e-13)
    bases = diagonalized(of_layer(A, S))
    (a, Q_A), (s, Q_S) = bases.A[0], bases.S[0]
    np.testing.assert_allclose(np.sort(np.outer(s, a).ravel()), np.linalg.eigvalsh(block), atol=1e-14)
    Q = np.kron(Q_S, Q_A)
    np.testing.assert_allclose(Q.T @ Q, np.eye(15), atol=1e-14)
    np.testing.assert_allclose(Q @ np.diag(np.outer(s, a).ravel()) @ Q.T, block, atol=1e-14)


@pytest.mark.parametrize("name", CATALOGUED)
def test_factors_and_matrix_are_those_of_a_pass_by_hand(name):
    J, w = taken(name)
    told, expected = factors(J, w), factors_by_hand(J, w)
    for kind in ("A", "S"):
        for matrix, by_hand in zip(getattr(told, kind), expected[kind], strict=True):
            np.testing.assert_allclose(matrix, by_hand, atol=1e-13 * max(1, np.abs(by_hand).max()))
    C = np.zeros((len(w), len(w)))
    for part, A, S in zip(J.problem.network.slices, expected["A"], expected["S"], strict=True):
        C[part, part] = np.kron(S, A)
    v = np.random.default_rng(0).standard_normal(w.shape)
    matrix, Cv, (x, singular), ν = (jax.device_get(part) for part in found(J, w, v, 0.1))
    size = float(np.linalg.norm(C, 2))
    np.testing.assert_allclose(matrix, C, atol=1e-13 * size)
    np.testing.assert_allclose(Cv, C @ v + J.problem.l2_diagonal() * v, atol=1e-12 * size)
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(C), atol=1e-12 * size)
    assert not singular
    l2 = np.max(np.asarray(J.problem.l2_diagonal()))  # of a diagonal the largest entry: no eigenbasis has another
    np.testing.assert_allclose(C @ x + (0.1 + l2) * x, v, atol=1e-12 * size * float(np.linalg.norm(x)))


def test_sampled_factors_tend_to_the_exact_ones():
    J, w = own()
    exact = factors(J, w)
    draw = jax.jit(jax.vmap(lambda key: estimate(Objective(J.problem, J.batch, 0, key), jnp.asarray(w))))
    drawn = draw(jax.random.split(jax.random.key(0), 4000))
    for sampled, expected in zip(jax.tree.leaves(drawn), jax.tree.leaves(exact), strict=True):
        error = np.abs(np.mean(sampled, axis=0) - expected)
        assert np.all(error <= 5 * np.std(sampled, axis=0) / np.sqrt(4000) + 1e-15)


@pytest.mark.parametrize("options", [{}, {"loss_on": "logistic"}, {"loss_on": "softmax"}])
def test_of_one_example_the_blocks_are_exact(options):
    J, w = own(size=1, **options)
    G, C = np.asarray(gauss_newton_of(J, w)), np.asarray(found(J, w, w, 1.0)[0])
    for part in J.problem.network.slices:
        np.testing.assert_allclose(C[part, part], G[part, part], atol=1e-14 * np.abs(G).max())


def test_of_linear_regression_the_block_is_exact():
    """Gz = I does not depend on the inputs, so that A and S are independent: A ⊗ S is all of G."""
    J, w = own(widths=(4, 3))
    np.testing.assert_allclose(found(J, w, w, 1.0)[0], gauss_newton_of(J, w), atol=1e-14)


@pytest.mark.parametrize("κ", [1.0, 1e3, 1e6])
def test_factored_solves_are_the_dense_ones(κ):
    rng = np.random.default_rng(2)
    A, S = random_factors(rng, 7, 5, κ)
    V = rng.standard_normal((5, 7))
    block, v = np.kron(S, A), V.ravel()

    def residual(C, u):
        return np.linalg.norm(C @ u - v) / (np.linalg.norm(C, 2) * np.linalg.norm(u) + np.linalg.norm(v))

    (U,) = inverted(of_layer(A, S), 0.0).apply([jnp.asarray(V)])
    assert residual(block, np.ravel(U)) < 1e-14
    np.testing.assert_allclose(np.ravel(U), np.linalg.solve(block, v), atol=1e-8 * float(np.linalg.norm(U)))
    (U,), singular = diagonalized(of_layer(A, S)).apply([jnp.asarray(V)], 1e-3)
    assert not singular
    assert residual(block + 1e-3 * np.eye(35), np.ravel(U)) < 1e-14


def test_π_shares_damping_by_the_factors_mean_eigenvalues():
    rng = np.random.default_rng(3)
    A, S = (jnp.asarray(C) for C in random_factors(rng, 4, 3, 10.0))
    assert np.isclose(pi(A, 9 * S), np.sqrt(np.trace(A) / 4 / (9 * np.trace(S) / 3)), rtol=1e-14)
    assert pi(A, 0 * S) == pi(0 * A, S) == 1
    γ, π = 0.3, float(pi(A, S))
    V = rng.standard_normal((3, 4))
    (U,) = inverted(of_layer(A, S), γ).apply([jnp.asarray(V)])
    damped = np.kron(S + γ / π * np.eye(3), A + π * γ * np.eye(4))
    np.testing.assert_allclose(damped @ np.ravel(U), V.ravel(), atol=1e-13)


def test_what_cannot_be_inverted_is_named():
    A, S = jnp.eye(3), jnp.eye(2)
    assert [int(inverted(of_layer(A, S), 0.0).fault), int(diagonalized(of_layer(A, S)).fault)] == [0, 0]
    for broken in (jnp.nan, jnp.inf):
        assert FAULTS[int(inverted(of_layer(A, S * broken), 0.1).fault) - 1] == "a Kronecker factor is not finite"
        assert int(diagonalized(of_layer(A * broken, S)).fault) == 1
    flat = of_layer(A, jnp.ones((2, 2)))
    assert FAULTS[int(inverted(flat, 0.0).fault) - 1] == "a damped Kronecker factor is singular"
    assert int(inverted(flat, 1e-6).fault) == 0
    assert diagonalized(flat).apply([jnp.ones((2, 3))], 0.0)[1]
    assert not diagonalized(flat).apply([jnp.ones((2, 3))], 1e-12)[1]
