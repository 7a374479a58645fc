"""Lanczos and its quadrature against moments computed by repeated products, and against numpy's eigenvalues."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.lanczos import UNSURE, WIDTH, density, quadrature, tridiagonal
from tests.oracles import exact_solution, symmetric

ROUNDING = {"float64": 1e-12, "float32": 5e-5}


@partial(jax.jit, static_argnames="iterations")
def measure(C, v, iterations):
    return quadrature(lambda u: C @ u, v, iterations)


@partial(jax.jit, static_argnames="iterations")
def projected(C, v, iterations):
    α, β = tridiagonal(lambda u: C @ u, v, iterations)
    return jnp.diag(α) + jnp.diag(β[:-1], 1) + jnp.diag(β[:-1], -1)


def indefinite(n: int = 60) -> np.ndarray:
    """Eigenvalues as a network's: most near zero on both sides, a few large."""
    rng = np.random.default_rng(1)
    return symmetric(np.concatenate([0.05 * rng.standard_normal(n - 4), [-0.4, 0.3, 0.7, 1.0]]))


def vectors(n: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((3, n)).astype(dtype)


def moments(C: np.ndarray, v: np.ndarray, count: int) -> np.ndarray:
    """vᵀC^m v / vᵀv for m = 0 … count - 1."""
    found, u = [], v / np.linalg.norm(v)
    unit = u
    for _ in range(count):
        found.append(unit @ u)
        u = C @ u
    return np.array(found)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("iterations", [1, 2, 7, 20])
def test_moments_up_to_twice_the_iterations_are_each_probes_own(iterations, dtype):
    C = indefinite()
    for v in vectors(60, dtype):
        ν, ω, _ = measure(C.astype(dtype), v, iterations)
        assert ν.dtype == ω.dtype == dtype
        ours = [np.sum(np.asarray(ω, float) * np.asarray(ν, float) ** m) for m in range(2 * iterations)]
        np.testing.assert_allclose(ours, moments(C, v.astype(float), 2 * iterations), atol=ROUNDING[dtype])


def test_the_next_moment_is_not():
    C, (v, *_) = indefinite(), vectors(60, "float64")
    ν, ω, _ = measure(C, v, 3)
    assert abs(np.sum(ω * ν**6) - moments(C, v, 7)[6]) > 1e-4


def test_the_projection_is_the_matrix_in_a_basis_of_the_krylov_space():
    """T is numpy's: Q from a QR of v, Cv, …, C⁵v, and T = QᵀCQ up to the basis vectors' signs."""
    C, (v, *_) = indefinite(), vectors(60, "float64")
    Q = np.linalg.qr(np.stack([np.linalg.matrix_power(C, m) @ v for m in range(6)], axis=1))[0]
    np.testing.assert_allclose(np.abs(projected(C, v, 6)), np.abs(Q.T @ C @ Q), atol=1e-9)


def test_no_ghosts():
    """After as many iterations as dimensions every eigenvalue has come, and none twice: orthogonality is kept."""
    C, (v, *_) = indefinite(), vectors(60, "float64")
    ν, ω, _ = measure(C, v, 60)
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(C), atol=1e-12)
    Q = np.linalg.eigh(C)[1]
    np.testing.assert_allclose(ω, (Q.T @ v / np.linalg.norm(v)) ** 2, atol=1e-10)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_extreme_eigenvalues_converge_from_the_inside(dtype):
    """The first K rows of T are T after K iterations."""
    C, (v, *_) = indefinite(400), vectors(400, dtype)
    low, high = np.linalg.eigvalsh(C)[[0, -1]]
    T, eps = np.asarray(projected(C.astype(dtype), v, 32), float), float(jnp.finfo(dtype).eps)
    ritz = [np.linalg.eigvalsh(T[:K, :K]) for K in (4, 8, 16, 32)]
    errors = np.array([[ν[0] - low, high - ν[-1]] for ν in ritz])
    assert np.all(errors > -10 * eps)
    assert np.all(np.diff(errors, axis=0) < 10 * eps)
    np.testing.assert_allclose(errors[-1], 0, atol=100 * eps)
    np.testing.assert_allclose(measure(C.astype(dtype), v, 32).nodes, ritz[-1], atol=10 * eps)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(
    "eigenvalues", [[2.0] * 9, [0.0] * 7 + [3.0, 5.0], [-1.0] * 4 + [0.0] * 2 + [0.5] * 3, [0.0] * 9]
)
def test_a_space_that_ends_early_is_told_whole(eigenvalues, dtype):
    """Some distinct eigenvalues span all that v reaches: their weights are v's shares, all others are nought."""
    C, (v, *_) = symmetric(eigenvalues), vectors(9, dtype)
    ν, ω, _ = (np.asarray(part, float) for part in measure(C.astype(dtype), v, 8))
    Q = np.linalg.eigh(C)[1]
    shares = (Q.T @ v / np.linalg.norm(v)) ** 2
    tolerance = 5e-4 if dtype == "float32" else 1e-9
    for value in np.unique(eigenvalues):
        own = np.abs(ν - value) < tolerance
        assert np.sum(ω[own]) == pytest.approx(np.sum(shares[np.isclose(eigenvalues, value)]), abs=tolerance)
    assert np.sum(ω) == pytest.approx(1, abs=tolerance)
    assert np.min(ν) > np.min(eigenvalues) - tolerance
    assert np.max(ν) < np.max(eigenvalues) + tolerance


def test_more_iterations_than_dimensions():
    ν, ω, _ = measure(np.diag([1.0, 2.0]), np.array([3.0, 4.0]), 6)
    np.testing.assert_allclose(np.sum(ω[np.isclose(ν, 1)]), 0.36, rtol=1e-12)
    np.testing.assert_allclose(np.sum(ω[np.isclose(ν, 2)]), 0.64, rtol=1e-12)
    np.testing.assert_array_less(ω[~np.isclose(ν, 1) & ~np.isclose(ν, 2)], 1e-20)


def test_without_a_direction_there_is_no_weight_to_tell_of():
    ν, ω, _ = measure(np.diag([1.0, 2.0]), np.zeros(2), 2)
    assert np.all(np.isfinite([ν, ω]))


def test_what_is_not_finite_is_told():
    ν, *_ = measure(np.diag([1.0, np.inf]), np.ones(2), 2)
    assert np.all(np.isnan(ν))


def test_a_rational_matrix_exactly():
    """v = e₁: the measure's generating function is (I - xC)⁻¹₁₁, which five nodes of five dimensions give exactly."""
    rng = np.random.default_rng(2)
    C = rng.integers(-3, 4, (5, 5)).astype(float)
    C = C + C.T
    v = np.eye(5)[0]
    ν, ω, _ = measure(C, v, 5)
    x = 1 / 64
    assert np.sum(ω / (1 - x * ν)) == pytest.approx(exact_solution(np.eye(5) - x * C, v)[0], rel=1e-12)


def test_residuals_are_those_of_the_ritz_vectors():
    """‖C Qs - ν Qs‖ for each eigenvector s of T, Q from a QR of the Krylov space; an eigenvalue is as near as that."""
    C, (v, *_) = indefinite(), vectors(60, "float64")
    ν, _, r = measure(C, v, 6)
    Q = np.linalg.qr(np.stack([np.linalg.matrix_power(C, m) @ v for m in range(6)], axis=1))[0]
    S = Q @ np.linalg.eigh(Q.T @ C @ Q)[1]
    np.testing.assert_allclose(r, np.linalg.norm(C @ S - S * ν, axis=0), atol=1e-9)
    nearest = np.min(np.abs(np.linalg.eigvalsh(C)[:, None] - ν), axis=0)
    assert np.all(nearest <= np.asarray(r) + 1e-12)


# --- the density ------------------------------------------------------------------------------------------------------


def told(nodes, weights, residuals=0.0, iterations: int = 64):
    nodes, weights, residuals = np.broadcast_arrays(nodes, weights, residuals)
    return density(nodes, weights, residuals, iterations)


def decades(found) -> np.ndarray:
    return np.arcsinh(found.eigenvalues / found.scale) / np.log(10)


@pytest.mark.parametrize("residual", [0.0, 0.3])
@pytest.mark.parametrize(
    "nodes",
    [[-3.0, 0.0, 1e-7, 2.0, 5e3], [1e-9, 3e-9], [-7.0], [0.0, 0.0], [1e-5, 1.0, 9.99e5]],
    ids=["indefinite", "tiny", "negative", "zero", "six decades"],
)
def test_a_density_integrates_to_one(nodes, residual):
    weights = np.arange(1.0, len(nodes) + 1)
    weights /= weights.sum()
    found = told([nodes, nodes], [weights, weights], residual * np.abs(nodes))
    assert np.trapezoid(found.density, decades(found)) == pytest.approx(1, abs=1e-6)
    assert found.eigenvalues[0] < min(nodes)
    assert found.eigenvalues[-1] > max(nodes)


def test_a_density_has_the_weights_where_the_nodes_are():
    found = told([[-2.0, 0.0, 30.0], [-2.0, 0.001, 30.0]], [[0.2, 0.5, 0.3], [0.4, 0.5, 0.1]])
    u = decades(found)
    for low, high, share in ((-10, -1, 0.3), (-1, 3, 0.5), (3, 100, 0.2)):
        inside = (found.eigenvalues > low) & (found.eigenvalues < high)
        assert np.trapezoid(found.density[inside], u[inside]) == pytest.approx(share, abs=1e-3)


def test_a_node_that_stands_for_many_eigenvalues_is_drawn_wider():
    u, spread = 0.0, []
    for residual in (0.0, 5.0):
        found = told([[0.0, 10.0]], [[0.0, 1.0]], residual)
        u, p = decades(found), found.density
        mean = np.trapezoid(u * p, u)
        spread.append(np.sqrt(np.trapezoid((u - mean) ** 2 * p, u)))
    assert spread == pytest.approx([WIDTH, np.hypot(WIDTH, np.arcsinh(UNSURE * 5 / 10) / np.log(10))], rel=1e-3)


@pytest.mark.parametrize("iterations", [32, 128])
def test_a_densitys_axis_is_logarithmic_down_to_what_the_nodes_resolve(iterations):
    """Chebyshev's nodes on [a, b] have that distance where 0 is: his zeros inside, his extrema at an end."""
    for a, b in ((-2.0, 8.0), (0.0, 10.0), (-1.0, 0.0)):
        inside = a < 0 < b
        angles = np.pi * (np.arange(iterations + (not inside)) + 0.5 * inside) / iterations
        nodes = np.sort((a + b) / 2 + (b - a) / 2 * np.cos(angles))
        distance = np.diff(nodes)[np.argmin(np.abs(nodes[1:]))] if inside else np.diff(np.sort(np.abs(nodes)))[0]
        scale = told(nodes[None], 1 / len(nodes), iterations=iterations).scale
        assert scale == pytest.approx(distance, rel=0.35)  # rounded to one digit


def test_a_density_of_nothing_known_is_drawn_nowhere():
    found = told(np.full((1, 3), np.nan), np.nan, np.nan)
    assert np.all(np.isfinite(found.eigenvalues))
    assert np.all(np.isnan(found.density))


def test_the_mean_over_probes_tends_to_the_density_of_the_eigenvalues():
    """Its moments do, as 1/√probes: those of 200 probes are within three standard errors, not all within a tenth."""
    C = indefinite(200)
    exact = np.array([np.mean(np.linalg.eigvalsh(C) ** m) for m in range(1, 5)])
    v = np.random.default_rng(6).standard_normal((200, 200))
    nodes, weights, _ = jax.vmap(lambda v: measure(C, v, 10))(v)
    each = np.array([np.sum(weights * nodes**m, axis=1) for m in range(1, 5)])
    errors = np.abs(each.mean(axis=1) - exact) / (each.std(axis=1) / np.sqrt(200))
    assert np.all(errors < 3)
    assert np.any(errors > 0.1)
