"""Conjugate gradients against their theorems, a plain re-implementation in numpy, and dense solves."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder import cg
from secondorder.cg import MatrixFree, conjugate_gradient, milestones, tridiagonal
from secondorder.solve import Dense
from tests.oracles import symmetric

RNG = np.random.default_rng(5)
ROOM = N = 60
LONG = 400


@partial(jax.jit, static_argnames=("room", "conjugate"))
def _minimize(A, g, iterations, start, M, tolerance, progress, room, conjugate):
    how = {"tolerance": tolerance, "progress": progress, "room": room, "conjugate": conjugate}
    return conjugate_gradient(
        lambda v: A @ v, g, iterations=iterations, start=start, precondition=lambda r: r / M, **how
    )


def minimize(A, g, iterations, *, start=None, M=None, tolerance=0.0, progress=0.0, room=ROOM, conjugate=True) -> Any:
    start, M = np.zeros_like(g) if start is None else start, np.ones_like(g) if M is None else M
    return _minimize(A, g, 1.0 * iterations, start, M, tolerance, progress, room, conjugate)


def norm(A: np.ndarray, v: np.ndarray) -> float:
    """‖v‖_A."""
    return float(np.sqrt(v @ A @ v))


def quadratic(A: np.ndarray, g: np.ndarray, v: np.ndarray) -> float:
    return float(v @ A @ v / 2 + g @ v)


def plain(A, g, *, start, M, iterations, progress):
    """Martens 2010 in a few lines of numpy: all iterates until the stop on relative progress (0: none)."""
    v, vs = start.copy(), [start.copy()]
    r = A @ v + g
    p = -r / M
    for i in range(1, iterations + 1):
        α = (r @ (r / M)) / (p @ A @ p)
        v = v + α * p
        vs.append(v.copy())
        r_next = r + α * A @ p
        β = (r_next @ (r_next / M)) / (r @ (r / M))
        r, p = r_next, -r_next / M + β * p
        k = max(10, math.ceil(i / 10))
        if progress and i > k:
            φ, φ_before = quadratic(A, g, vs[i]), quadratic(A, g, vs[i - k])
            if φ < 0 and (φ - φ_before) / φ < k * progress:
                break
    return np.array(vs)


# --- the theorems -----------------------------------------------------------------------------------------------------


# With several small eigenvalues of different sizes (1e-6, 1e-4, 1e-2, 1) the rounding of A's own entries matters to any
# method: the polynomial with a root at each of them is too steep for eigenvalues that are known to 1e-16.
DISTINCT = [[1.0], [1e-3, 1.0], [1e-6, 1.0], [1e-6, 0.5, 1.0], [1e-3, 1e-2, 0.1, 1.0], np.linspace(1e-6, 1, 6)]


@pytest.mark.parametrize("distinct", DISTINCT, ids=len)
def test_it_is_exact_after_as_many_iterations_as_there_are_distinct_eigenvalues(distinct):
    A, g = symmetric(np.repeat(distinct, 12 // len(distinct))), RNG.standard_normal(12)
    solution = -np.linalg.solve(A, g)
    found = minimize(A, g, len(distinct))
    assert found.iterations == len(distinct)
    assert norm(A, found.v - solution) <= 1e-10 * norm(A, solution)
    assert minimize(A, g, len(distinct) - 1).trace.residual[len(distinct) - 1] > 1e-3


@pytest.mark.parametrize("κ", [1e1, 1e3, 1e6])
@pytest.mark.parametrize("conjugate", [True, False])
def test_the_error_falls_as_fast_as_theory_says(κ, conjugate):
    A, g = symmetric(np.geomspace(1 / κ, 1, N)), RNG.standard_normal(N)
    solution = -np.linalg.solve(A, g)
    root = math.sqrt(κ) if conjugate else κ
    bound = (2 if conjugate else 1) * ((root - 1) / (root + 1)) ** np.arange(ROOM + 1)
    found = minimize(A, g, ROOM, conjugate=conjugate)
    # φ(v) - φ(v*) = ½‖v - v*‖²_A
    excess = 2 * (np.asarray(found.trace.quadratic) - quadratic(A, g, solution)) / norm(A, solution) ** 2
    reached = int(found.iterations)
    assert reached >= 15
    assert np.all(excess[: reached + 1] <= bound[: reached + 1] ** 2 + 1e-10)
    assert norm(A, found.v - solution) <= (bound[reached] + 1e-10) * norm(A, solution)


def test_one_iteration_is_gradient_descent_with_the_exact_step_size():
    A, g = symmetric(np.geomspace(0.1, 10, N)), RNG.standard_normal(N)
    step = -(g @ g) / (g @ A @ g) * g
    np.testing.assert_allclose(minimize(A, g, 1).v, step, rtol=1e-13)
    np.testing.assert_allclose(minimize(A, g, 1, conjugate=False).v, step, rtol=1e-13)


def test_without_conjugate_directions_it_is_steepest_descent():
    A, g = symmetric(np.geomspace(0.1, 10, N)), RNG.standard_normal(N)
    v = np.zeros(N)
    for _ in range(20):
        r = A @ v + g
        v = v - (r @ r) / (r @ A @ r) * r
    np.testing.assert_allclose(minimize(A, g, 20, conjugate=False).v, v, rtol=1e-11)


@pytest.mark.parametrize("κ", [1e1, 1e3])
def test_preconditioned_it_is_the_plain_method_on_the_scaled_problem(κ):
    """u = M^(1/2) v minimizes with M^(-1/2) A M^(-1/2) and M^(-1/2) g."""
    A, g, M = symmetric(np.geomspace(1 / κ, 1, N)), RNG.standard_normal(N), RNG.uniform(0.5, 20, N)
    root = np.sqrt(M)
    for iterations in (1, 3, 6):
        scaled = minimize(A / root[:, None] / root, g / root, iterations)
        np.testing.assert_allclose(minimize(A, g, iterations, M=M).v, scaled.v / root, rtol=1e-7, atol=1e-9)


def test_a_perfect_preconditioner_needs_one_iteration():
    A, g = np.diag(np.geomspace(1e-6, 1, N)), RNG.standard_normal(N)
    found = minimize(A, g, 1, M=np.diag(A))
    np.testing.assert_allclose(found.v, -g / np.diag(A), rtol=1e-12)


def test_ritz_values_are_the_eigenvalues_once_all_are_seen():
    ν = np.array([0.02, 0.5, 1.0, 3.0, 8.0])
    A, g = symmetric(np.repeat(ν, 12)), RNG.standard_normal(N)
    found = jax.jit(tridiagonal)(minimize(A, g, 5).trace)
    T = np.asarray(found)
    assert T.shape == (ROOM, ROOM)
    np.testing.assert_allclose(np.linalg.eigvalsh(T[:5, :5]), ν, rtol=1e-10)
    np.testing.assert_allclose(T[5:], np.eye(ROOM)[5:] * T[0, 0])


def test_ritz_values_of_a_few_iterations_lie_inside():
    A, g = symmetric(np.geomspace(1e-3, 1, N)), RNG.standard_normal(N)
    lows, highs = np.transpose([np.linalg.eigvalsh(tridiagonal(minimize(A, g, k).trace))[[0, -1]] for k in (2, 5, 20)])
    assert np.all(np.diff(lows) < 0)
    assert np.all(np.diff(highs) > 0)
    assert np.all(lows > 1e-3)
    assert 0.99 < highs[-1] <= 1 + 1e-14


# --- Martens's details ------------------------------------------------------------------------------------------------


def problem(n: int, κ: float, seed: int):
    rng = np.random.default_rng(seed)
    A, g = symmetric(np.geomspace(1 / κ, 1, n), seed), rng.standard_normal(n)
    return A, g, 0.3 * rng.standard_normal(n), rng.uniform(0.3, 3, n)


@pytest.mark.parametrize(("κ", "progress"), [(3, 5e-4), (30, 1e-2), (1e3, 3e-2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_stop_the_trace_and_the_kept_iterates_are_the_plain_ones(κ, progress, seed):
    A, g, start, M = problem(200, κ, seed)
    found = minimize(A, g, 250, start=start, M=M, progress=progress, room=LONG)
    vs = plain(A, g, start=start, M=M, iterations=250, progress=progress)
    last = len(vs) - 1
    assert last < 250
    assert (int(found.iterations), cg.STATUS[int(found.status)]) == (last, "slow progress")
    close = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7 * float(np.abs(vs[-1]).max()))
    close(found.v, vs[-1])
    np.testing.assert_allclose(found.trace.quadratic[: last + 1], [quadratic(A, g, v) for v in vs], rtol=1e-9)
    residuals = [np.linalg.norm(A @ v + g) for v in vs]
    np.testing.assert_allclose(found.trace.residual[: last + 1], residuals, rtol=1e-6, atol=1e-6 * float(residuals[0]))
    assert np.isnan(found.trace.quadratic[last + 1 :]).all()

    at = [k for k in (math.ceil(5 * 1.3**j) for j in range(30)) if k <= last]
    at += [last] * (at[-1] < last)
    assert [k for k in found.kept_at.tolist() if k >= 0] == at
    close(found.kept[: len(at)], vs[at])


@pytest.mark.parametrize(("κ", "progress"), [(1e4, 5e-4), (1e5, 1e-4), (1e5, 5e-4)])
def test_the_stop_looks_back_a_tenth_of_the_way(κ, progress):
    """Rounding parts two runs of this length, so the rule is applied to the method's own values."""
    A, g, start, M = problem(200, κ, 0)
    φ = np.asarray(minimize(A, g, LONG, start=start, M=M, room=LONG).trace.quadratic)
    stops = (
        i
        for i in range(1, LONG + 1)
        if i > (k := max(10, math.ceil(i / 10))) and φ[i] < 0 and (φ[i] - φ[i - k]) / φ[i] < k * progress
    )
    found = minimize(A, g, LONG, start=start, M=M, progress=progress, room=LONG)
    assert 100 < found.iterations == next(stops) < LONG


def test_milestones_are_those_of_the_paper():
    assert milestones(250) == [5, 7, 9, 11, 15, 19, 25, 32, 41, 54, 69, 90, 117, 152, 197]
    assert milestones(4) == []


@pytest.mark.parametrize("iterations", [1, 4, 5, 6, 7, 60])
def test_the_last_iterate_is_kept_whatever_its_number(iterations):
    A, g, start, _ = problem(N, 1e4, 2)
    found = minimize(A, g, iterations, start=start)
    last = int(np.sum(np.asarray(found.kept_at) >= 0)) - 1
    assert int(found.iterations) == int(found.kept_at[last]) == iterations
    np.testing.assert_array_equal(found.kept[last], found.v)


def test_a_warm_start_costs_a_product_and_a_start_at_zero_does_not():
    A, g, start, _ = problem(N, 1e2, 3)
    assert minimize(A, g, 7).products == 7
    assert minimize(A, g, 7, start=start).products == 8
    assert minimize(A, g, 7, start=np.zeros(N)).products == 7


def test_a_tolerance_ends_it_and_no_tolerance_uses_all_iterations():
    A, g, _, _ = problem(N, 1e2, 4)
    found = minimize(A, g, ROOM, tolerance=1e-3)
    k = int(found.iterations)
    assert cg.STATUS[int(found.status)] == "converged"
    assert found.trace.residual[k] <= 1e-3 * np.linalg.norm(g) < found.trace.residual[k - 1]
    fixed = minimize(A, g, ROOM)
    assert (int(fixed.iterations), cg.STATUS[int(fixed.status)]) == (ROOM, "budget")


def test_there_is_never_more_than_there_is_room_for():
    A, g, _, _ = problem(N, 1e3, 4)
    assert minimize(A, g, 1e9).iterations == ROOM


def test_at_the_minimum_there_is_nothing_to_do():
    found = minimize(np.eye(3), np.zeros(3), 5)
    assert (int(found.iterations), cg.STATUS[int(found.status)]) == (0, "converged")
    np.testing.assert_array_equal(found.v, np.zeros(3))
    found = minimize(np.diag([1.0, 2.0]), np.array([1.0, 2.0]), 5, start=np.array([-1.0, -1.0]))
    assert (int(found.iterations), cg.STATUS[int(found.status)]) == (0, "converged")


def test_what_is_watched_is_told_for_every_iterate():
    A, g, _, _ = problem(N, 1e2, 6)
    A, g = jnp.asarray(A), jnp.asarray(g)
    found = conjugate_gradient(lambda v: A @ v, g, room=8, iterations=6, watch=lambda v, r: {"size": jnp.sum(v**2)})
    expected = [np.sum(np.square(minimize(A, g, k).v)) for k in range(7)]
    np.testing.assert_allclose(found.trace.watched["size"][:7], expected, rtol=1e-12)
    assert np.isnan(found.trace.watched["size"][7:]).all()


def test_iterations_and_matrix_are_traced_and_lanes_are_what_they_are_alone():
    A, g, _, _ = problem(N, 1e3, 7)
    minimize(A, g, 2)
    compiled: Any = _minimize
    before = compiled._cache_size()
    alone = [minimize(a * A, g, k) for a, k in ((1.0, 3), (2.0, 9), (0.5, 30))]
    assert compiled._cache_size() == before
    lanes = jax.vmap(minimize, in_axes=(0, None, 0))(np.array([A, 2 * A, A / 2]), g, np.array([3.0, 9.0, 30.0]))
    for lane, one in enumerate(alone):
        assert lanes.iterations[lane] == one.iterations
        np.testing.assert_allclose(lanes.v[lane], one.v, rtol=1e-9)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_negative_curvature_ends_it_at_the_iterate_before():
    """Of diag(4, 1, -½) and g = (1, 1, t) the first direction's curvature is 5 - t²/2: the larger t, the sooner."""
    A, g = np.diag([4.0, 1.0, -0.5]), np.array([1.0, 1.0, 0.3])
    found = minimize(A, g, 10)
    assert cg.STATUS[int(found.status)] == "negative curvature"
    k = int(found.iterations)
    assert 1 <= k < 3
    vs = plain(A, g, start=np.zeros(3), M=np.ones(3), iterations=k, progress=0)
    np.testing.assert_allclose(found.v, vs[-1], rtol=1e-12)
    np.testing.assert_allclose(found.kept[0], vs[-1], rtol=1e-12)
    assert quadratic(A, g, found.v) < 0
    assert found.products == k + 1
    assert np.isnan(found.trace.quadratic[k + 1 :]).all()


def test_negative_curvature_in_the_first_direction_leaves_the_start():
    start = np.array([0.1, 0.0, 0.2])
    found = minimize(np.diag([4.0, 1.0, -0.5]), np.array([0.01, 0.01, 5.0]), 10, start=start)
    assert (int(found.iterations), cg.STATUS[int(found.status)]) == (0, "negative curvature")
    np.testing.assert_array_equal(found.v, start)


def test_a_singular_matrix_is_told_apart_from_an_indefinite_one():
    assert cg.STATUS[int(minimize(np.diag([1.0, 0.0]), np.array([0.0, 1.0]), 5).status)] == "no curvature"
    # In the range it does not show: the solution of least norm comes out.
    A, x = symmetric([0.0, 0.0, 0.5, 1.0, 2.0]), RNG.standard_normal(5)
    found = minimize(A, -A @ x, 3)
    np.testing.assert_allclose(found.v, np.linalg.pinv(A, rcond=1e-10) @ A @ x, rtol=1e-10)


@pytest.mark.parametrize(
    ("A", "g"), [(np.diag([np.inf, 1.0]), np.ones(2)), (np.eye(2), [1.0, np.nan]), (np.diag([1.0, np.nan]), np.ones(2))]
)
def test_what_is_not_finite_is_named_and_leaves_the_iterate_alone(A, g):
    found = minimize(A, jnp.asarray(g), 5)
    assert (int(found.iterations), cg.STATUS[int(found.status)]) == (0, "not finite")
    np.testing.assert_array_equal(found.v, np.zeros(2))


# --- a matrix known by its products -----------------------------------------------------------------------------------


@jax.jit
def free(A, l2, v, η):
    C = MatrixFree(lambda v: A @ v, v, l2)
    return C.matrix, C.multiply(v), C.eigenvalues(), C.solve(v, η)


@pytest.mark.parametrize("l2", [0.0, 0.2, np.array([0.0, 0.1, 0.2, 0.3, 0.0, 0.4])])
def test_it_is_what_the_dense_matrix_is(l2):
    A, v = symmetric([-0.3, 0.1, 0.4, 1.0, 2.0, 5.0]), jnp.asarray(RNG.standard_normal(6))
    dense = Dense(jnp.asarray(A), l2)
    matrix, product, eigenvalues, (x, failed) = free(A, l2, v, 0.5)
    np.testing.assert_allclose(matrix, A, atol=1e-15)
    np.testing.assert_allclose(product, dense.multiply(v), rtol=1e-13)
    np.testing.assert_allclose(eigenvalues, dense.eigenvalues(), atol=1e-14)
    assert not failed
    np.testing.assert_allclose(x, dense.solve(v, 0.5)[0], rtol=1e-9)


@pytest.mark.parametrize("κ", [1e2, 1e4, 1e6])
def test_solves_are_right_by_their_residual(κ):
    A, v = symmetric(np.geomspace(1 / κ, 1, 40)), RNG.standard_normal(40)
    x, failed = free(A, 0.0, v, 0.0)[3]
    assert not failed
    assert np.linalg.norm(A @ x - v) <= 1e-8 * np.linalg.norm(v)
    exact, _ = Dense(jnp.asarray(A)).solve(jnp.asarray(v))
    np.testing.assert_allclose(x, exact, rtol=0, atol=1e-9 * κ * float(np.linalg.norm(exact)))


@pytest.mark.parametrize("rank", [3, 20, 40])
@pytest.mark.parametrize("η", [1e-2, 1e-6, 1e-9, 1e-12])
def test_down_to_the_least_damping_a_solve_is_right_or_says_that_it_failed(rank, η):
    ν = np.concatenate([np.zeros(40 - rank), np.geomspace(1e-8, 1, rank)])
    A, v = symmetric(ν), RNG.standard_normal(40)
    x, failed = free(A, 0.0, v, η)[3]
    right = np.linalg.norm(A @ x + η * np.asarray(x) - v) <= 1e-7 * np.linalg.norm(v)
    assert right or failed
    assert right or η < 1e-6


@pytest.mark.parametrize("ν", [[-1.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
def test_a_solve_with_a_matrix_that_is_not_definite_says_so(ν):
    A = symmetric(ν)
    v = np.linalg.eigh(A)[1][:, 0]
    assert free(A, 0.0, v, 0.0)[3][1]
