"""Symmetric solves and eigendecompositions against numpy, exact rationals and closed forms."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.solve import (
    Dense,
    eigenvalues,
    eigh,
    eigh_factored,
    inverse_cholesky,
    inverse_square_root,
    solve,
    solve_positive,
)
from tests.oracles import exact_solution, symmetric

EPS = np.finfo(float).eps
RNG: Any = np.random.default_rng(5)
solve_jit: Any = jax.jit(solve)
positive_jit: Any = jax.jit(solve_positive)
solve_lanes: Any = jax.jit(jax.vmap(solve))
eigh_jit, eigenvalues_jit, factored_jit = jax.jit(eigh), jax.jit(eigenvalues), jax.jit(eigh_factored)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("definite", [True, False])
def test_solutions_are_the_exact_ones_as_far_as_the_condition_allows(n, definite):
    for seed, condition in enumerate([1.0, 1e4, 1e8, 1e12, 1e14]):
        ν = np.geomspace(1 / condition, 1, n) * (1 if definite else np.where(np.arange(n) % 2, -1, 1))
        C, v = symmetric(ν, seed), RNG.standard_normal(n)
        exact = exact_solution(C, v)
        for solver in (solve_jit, positive_jit) if definite and condition < 1e13 else (solve_jit,):
            x, singular = solver(C, v)
            assert not singular
            bound = 20 * n * EPS * (condition if n > 1 else 1)
            assert np.linalg.norm(x - exact) <= bound * np.linalg.norm(exact), (condition, solver)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_solving_is_backward_stable_up_to_condition_1e14(n):
    """‖Cx - v‖ is a small multiple of ε‖C‖‖x‖, whatever the condition, as numpy's is."""
    for seed in range(20):
        C, v = symmetric(np.geomspace(1e-14, 1, n), seed), RNG.standard_normal(n)
        x, singular = solve_jit(C, v)
        assert not singular
        assert np.linalg.norm(C @ x - v) <= 20 * n * EPS * np.linalg.norm(x)
        theirs = np.linalg.solve(C, v)
        assert np.linalg.norm(C @ x - v) <= 30 * np.linalg.norm(C @ theirs - v) + 10 * n * EPS * np.linalg.norm(x)


@pytest.mark.parametrize("solver", [solve_jit, positive_jit])
@pytest.mark.parametrize("diagonal", [[1e-100, 1.0], [1.0, 1e-100], [1e100, 1.0, 1e-100], [1e-300], [1e-200, 1e200]])
def test_diagonals_that_differ_by_factors_of_1e100_are_not_singular(solver, diagonal):
    v = np.arange(1.0, len(diagonal) + 1)
    x, singular = solver(np.diag(diagonal), v)
    assert not singular
    np.testing.assert_allclose(x, v / diagonal, rtol=4 * EPS)


@pytest.mark.parametrize("solver", [solve_jit, positive_jit])
@pytest.mark.parametrize("n", [2, 4])
def test_solving_does_not_feel_the_units_of_the_weights(solver, n):
    """(S C S) x = S v has the solution S⁻¹ C⁻¹ v, entry by entry, however far apart the scales S are."""
    C, v = symmetric(np.linspace(1, 3, n)), RNG.standard_normal(n)
    S = np.geomspace(1e-40, 1e40, n)
    x, singular = solver(S[:, None] * C * S, S * v)
    assert not singular
    np.testing.assert_allclose(S * x, np.linalg.solve(C, v), rtol=1e-12)


ONE_TO_NINE = np.array([[1.0, 2, 3], [2, 4, 6], [3, 6, 10]])
SINGULAR = {
    "zero 1x1": np.zeros((1, 1)),
    "zero 2x2": np.zeros((2, 2)),
    "zero 3x3": np.zeros((3, 3)),
    "a zero row": np.diag([1.0, 0.0]),
    "a zero row of three": np.diag([1.0, 0.0, 2.0]),
    "rank 1 of 2": np.outer([1.0, 3.0], [1.0, 3.0]),
    "rank 1 of 2, rounded": np.outer([0.1, 0.7], [0.1, 0.7]),
    "rank 2 of 3": ONE_TO_NINE,
    "rank 3 of 5, rounded": symmetric([1.0, 0.5, -0.25, 0.0, 0.0]),
    "rank 19 of 20, rounded": symmetric([0.0, *np.linspace(0.1, 1, 19)]),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_matrices_are_named(name):
    C = SINGULAR[name]
    v = RNG.standard_normal(len(C))
    assert solve_jit(C, v)[1]
    assert positive_jit(C, v)[1]


def test_a_singular_matrix_of_two_weights_is_named_at_every_angle():
    θ = np.linspace(0, np.pi, 181)
    u = np.stack([np.cos(θ), np.sin(θ)], axis=1)
    C = u[:, :, None] * u[:, None, :]
    assert np.all(solve_lanes(C, u)[1])
    # One part in 1e14 of curvature across, and it is not singular any more.
    across = np.stack([-np.sin(θ), np.cos(θ)], axis=1)
    assert not np.any(solve_lanes(C + 1e-14 * across[:, :, None] * across[:, None, :], u)[1])


@pytest.mark.parametrize(
    "C",
    [[[-1.0]], [[1.0, 0.0], [0.0, -1.0]], [[1.0, 2.0], [2.0, 1.0]], np.diag([1.0, 2.0, -1e-3]), -np.eye(3)],
)
def test_what_is_not_positive_definite_is_named(C):
    C = np.array(C)
    v = np.ones(len(C))
    assert positive_jit(C, v)[1]
    x, singular = solve_jit(C, v)
    assert not singular
    np.testing.assert_allclose(x, np.linalg.solve(C, v), rtol=1e-14)


def test_a_matrix_with_nan_or_infinity_gives_no_usable_step():
    for n in (1, 2, 3):
        for value in (np.nan, np.inf):
            x, singular = solve_jit(np.full((n, n), value), np.ones(n))
            assert singular | ~np.all(np.isfinite(x)) | (np.isinf(value) & (n == 1))


def test_many_lanes_agree_with_one():
    for n in (1, 2, 4):
        C = np.stack([symmetric(RNG.uniform(-2, 2, n), seed) for seed in range(9)])
        v = RNG.standard_normal((9, n))
        x, singular = solve_lanes(C, v)
        assert not np.any(singular)
        np.testing.assert_allclose(x, np.linalg.solve(C, v[..., None])[..., 0], rtol=1e-10)


TWO = {
    "diagonal": [[1.0, 0.0], [0.0, 3.0]],
    "diagonal, descending": [[3.0, 0.0], [0.0, 1.0]],
    "negative": [[-1.0, 0.0], [0.0, -3.0]],
    "equal eigenvalues": [[2.0, 0.0], [0.0, 2.0]],
    "zero": [[0.0, 0.0], [0.0, 0.0]],
    "off-diagonal": [[0.0, 1.0], [1.0, 0.0]],
    "off-diagonal, negative": [[0.0, -1.0], [-1.0, 0.0]],
    "indefinite": [[1.0, 5.0], [5.0, -2.0]],
    "rank 1": [[1.0, -2.0], [-2.0, 4.0]],
    "tiny": [[1e-150, 3e-151], [3e-151, 2e-150]],
    "huge": [[1e150, -3e149], [-3e149, 2e150]],
    "graded": [[1.0, 1e-9], [1e-9, 1e-12]],
}


@pytest.mark.parametrize("name", TWO)
def test_the_closed_form_for_two_weights_is_numpys_eigendecomposition(name):
    C = np.array(TWO[name])
    ν, Q = (np.asarray(part) for part in eigh_jit(jnp.asarray(C)))
    size = np.abs(C).max()
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(C), atol=4 * EPS * size, rtol=0)
    np.testing.assert_array_equal(ν, eigenvalues_jit(jnp.asarray(C)))
    np.testing.assert_allclose(Q.T @ Q, np.eye(2), atol=4 * EPS)
    np.testing.assert_allclose(C @ Q, Q * ν, atol=8 * EPS * size, rtol=0)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_eigendecompositions_of_other_sizes(n):
    C = symmetric(np.linspace(-1, 2, n), 4) if n > 1 else np.array([[-3.0]])
    ν, Q = eigh_jit(jnp.asarray(C))
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(C), atol=1e-14)
    np.testing.assert_allclose(eigenvalues_jit(jnp.asarray(C)), np.linalg.eigvalsh(C), atol=1e-14)
    np.testing.assert_allclose(Q @ np.diag(ν) @ Q.T, C, atol=1e-14)
    np.testing.assert_allclose(Q.T @ Q, np.eye(n), atol=1e-14)


@pytest.mark.parametrize(("rows", "n"), [(9, 4), (4, 4), (3, 7), (1, 5), (1, 2), (1, 1)])
def test_a_factor_has_the_spectrum_of_its_gram_matrix(rows, n):
    R = RNG.standard_normal((rows, n))
    ν, Q = (np.asarray(part) for part in factored_jit(jnp.asarray(R)))
    full = np.linalg.eigvalsh(R.T @ R)
    assert np.all(np.diff(ν) >= 0)
    np.testing.assert_allclose(ν, full[-len(ν) :], atol=1e-13)
    np.testing.assert_allclose(full[: n - len(ν)], 0, atol=1e-13)
    np.testing.assert_allclose(Q * ν @ Q.T, R.T @ R, atol=1e-12)
    np.testing.assert_allclose(Q.T @ Q, np.eye(len(ν)), atol=1e-12)


def test_a_factor_of_deficient_rank_keeps_its_eigenvalues_nonnegative_and_its_gram_matrix():
    R = RNG.standard_normal((6, 2)) @ RNG.standard_normal((2, 9))
    ν, Q = (np.asarray(part) for part in factored_jit(jnp.asarray(R)))
    assert np.all(ν >= 0)
    np.testing.assert_allclose(ν[-2:], np.linalg.svd(R)[1][1::-1] ** 2, rtol=1e-12)
    np.testing.assert_allclose(ν[:-2], 0, atol=1e-13)
    np.testing.assert_allclose(Q * ν @ Q.T, R.T @ R, atol=1e-12)
    np.testing.assert_allclose(Q.T @ Q, np.eye(6), atol=1e-13)


def test_eigenvectors_of_a_factor_are_orthonormal_however_small_its_singular_values():
    """Singular values down to 1e-9: their squares are below the rounding of the Gram matrix, the vectors are not."""
    U, V = (np.linalg.qr(RNG.standard_normal((n, 8)))[0] for n in (8, 20))
    R = U * np.geomspace(1e-9, 1, 8) @ V.T
    ν, Q = (np.asarray(part) for part in factored_jit(jnp.asarray(R)))
    np.testing.assert_allclose(Q.T @ Q, np.eye(8), atol=1e-13)
    np.testing.assert_allclose(ν, np.geomspace(1e-9, 1, 8) ** 2, atol=1e-15)
    g = R.T @ RNG.standard_normal(8)
    assert np.isclose(np.linalg.norm(Q.T @ g), np.linalg.norm(g), rtol=1e-13)


@jax.jit
def through_dense(matrix, l2, factor, v, damping):
    C = Dense(matrix, l2, factor)
    return C.multiply(v), C.solve(v, damping), C.spectrum()[0]


@pytest.mark.parametrize("with_factor", [True, False])
def test_a_curvature_multiplies_and_solves_with_its_l2_term_but_has_the_spectrum_without(with_factor):
    R, v, l2 = RNG.standard_normal((8, 4)), RNG.standard_normal(4), np.array([0.5, 0.5, 0.5, 0.0])
    whole = R.T @ R + np.diag(l2)
    for η in (0.0, 0.3):
        product, (x, singular), ν = through_dense(R.T @ R, l2, R if with_factor else None, v, η)
        np.testing.assert_allclose(product, whole @ v, rtol=1e-12)
        np.testing.assert_allclose(x, np.linalg.solve(whole + η * np.eye(4), v), rtol=1e-11)
        assert not singular
        np.testing.assert_allclose(ν, np.linalg.eigvalsh(R.T @ R), rtol=1e-11)


SEVERAL_BATCHES = """
import jax, jax.numpy as jnp
from secondorder.solve import inverse_positive

@jax.jit
def sums(Cs):
    def turn(i, total):
        return total + jax.vmap(lambda Cs: sum(inverse_positive(C)[0] for C in Cs))([C + i * jnp.eye(64) for C in Cs])
    return jax.lax.fori_loop(0, 100, turn, jnp.zeros((8, 64, 64)))

print(float(jnp.trace(sums([jnp.broadcast_to((i + 1.0) * jnp.eye(64), (8, 64, 64)) for i in range(10)])[0])))
"""


def test_several_batches_of_matrices_at_once_do_not_wait_for_each_other():
    """Batched LAPACK calls wait in XLA's threads for XLA's threads: on few cores, for ever. Hence its own process."""
    command = [sys.executable, "-c", SEVERAL_BATCHES]
    done = subprocess.run(command, timeout=60, check=True, capture_output=True, text=True)
    expected = 64 * sum(1 / (i + 1 + k) for i in range(10) for k in range(100))
    assert float(done.stdout) == pytest.approx(expected, rel=1e-5)


root_jits = {"cholesky": jax.jit(inverse_cholesky), "square-root": jax.jit(inverse_square_root)}


@pytest.mark.parametrize("factor", root_jits)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_factor_of_the_inverse(factor, n):
    for seed, condition in enumerate([1.0, 1e3, 1e6]):
        C = symmetric(np.geomspace(1 / condition, 1, n), seed)
        R, indefinite = root_jits[factor](C)
        assert not indefinite
        np.testing.assert_allclose(R @ R.T @ C, np.eye(n), atol=20 * n * EPS * condition)
        if factor == "cholesky":
            np.testing.assert_array_equal(R, np.triu(R))
        else:
            np.testing.assert_allclose(R, R.T, rtol=1e-12, atol=1e-12 * np.max(np.abs(R)))


@pytest.mark.parametrize("factor", root_jits)
@pytest.mark.parametrize(
    "ν", [[-1.0], [0.0], [-1.0, 1.0], [0.0, 1.0], [-2.0, -1.0], [-1e-3, 1.0, 2.0], [0.0, 1.0, 2.0]]
)
def test_of_what_is_not_positive_definite_there_is_none(factor, ν):
    for seed in range(3):
        assert root_jits[factor](symmetric(ν, seed))[1]
    assert root_jits[factor](np.full((len(ν), len(ν)), np.nan))[1]


@pytest.mark.parametrize("factor", root_jits)
@pytest.mark.parametrize("n", [2, 4])
def test_factors_of_many_lanes_agree_with_one(factor, n):
    Cs = np.stack([symmetric(np.geomspace(0.1, 1, n), seed) for seed in range(5)])
    Rs, _ = jax.jit(jax.vmap(root_jits[factor]))(Cs)
    for R, C in zip(Rs, Cs, strict=True):
        np.testing.assert_allclose(R, root_jits[factor](C)[0], rtol=1e-13, atol=1e-13)
