"""Ĝ⁻¹ is block-tridiagonal, Ĝ's blocks there are Kronecker products, and what does not exist is refused by name."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.core import Objective
from secondorder.curvature.block_tridiagonal import (
    FAULTS,
    Regression,
    Statistics,
    Whitened,
    block_tridiagonal,
    estimate,
    prepare,
)
from secondorder.solve import pi
from tests.curvature.networks import CATALOGUED, factors_by_hand, own, taken
from tests.oracles import exact_solution, gauss_newton_of

NOT_FINITE, SINGULAR, DETERMINED = 1, 2, 3
TANH = [{"loss_on": "squared-error"}, {"loss_on": "logistic"}]  # with these outputs it exists undamped
LINEAR = {"widths": (4, 6, 3, 6, 4), "linear": (2,)}

statistics = jax.jit(lambda J, w: estimate(J, w, exact=True))
damped = jax.jit(Statistics.damped)
shares = jax.jit(lambda statistics: [pi(A, S) for A, S in zip(statistics.A, statistics.S, strict=True)])


@jax.jit
def applied(statistics, γ, V):
    chain = prepare(statistics, γ)
    return chain.apply(V), chain.fault


def fault_of(told, γ):
    return applied(told, γ, [np.zeros((len(S), len(A)), A.dtype) for A, S in zip(told.A, told.S, strict=True)])[1]


def inverse(network, told, γ):
    """Ĝ⁻¹ written out, column by column, and whether it exists."""
    found = [applied(told, γ, network.split(e)) for e in np.eye(network.dimension)]
    return np.transpose([np.concatenate([np.ravel(u) for u in U]) for U, _ in found]), found[0][1]


def in_precision(dtype, told):
    return jax.tree.map(lambda part: np.asarray(part, dtype), told)


@pytest.mark.parametrize("name", CATALOGUED)
def test_statistics_are_the_second_moments_of_neighbouring_layers(name):
    J, w = taken(name)
    told, expected = statistics(J, w), factors_by_hand(J, w)
    for kind, matrices in expected.items():
        assert len(getattr(told, kind)) == len(matrices)
        for matrix, by_hand in zip(getattr(told, kind), matrices, strict=True):
            np.testing.assert_allclose(matrix, by_hand, atol=1e-13 * max(1, np.abs(by_hand).max()))


def test_sampled_statistics_tend_to_the_exact_ones():
    J, w = own()
    exact = statistics(J, w)
    draw = jax.jit(jax.vmap(lambda key: estimate(Objective(J.problem, J.batch, 0, key), jnp.asarray(w))))
    drawn = draw(jax.random.split(jax.random.key(0), 4000))
    for sampled, expected in zip(jax.tree.leaves(drawn), jax.tree.leaves(exact), strict=True):
        error = np.abs(np.mean(sampled, axis=0) - expected)
        assert np.all(error <= 5 * np.std(sampled, axis=0) / np.sqrt(4000) + 1e-15)


def check(J, w, γ):
    """All that is to hold of Ĝ and its inverse with damped factors."""
    told = jax.device_get(statistics(J, w))
    C, fault = inverse(J.problem.network, told, γ)
    assert fault == 0
    factors, parts = jax.device_get(damped(told, γ)), J.problem.network.slices
    scale = np.abs(C).max()
    for i, rows in enumerate(parts):
        for j, columns in enumerate(parts):
            if abs(i - j) > 1:
                assert np.all(C[rows, columns] == 0), "Ĝ⁻¹ is not block-tridiagonal"
    np.testing.assert_allclose(C, C.T, atol=1e-12 * scale)
    G = np.linalg.inv(C)
    size = np.abs(G).max()
    rounding = 1e-15 * np.linalg.cond(C) * size
    for i, rows in enumerate(parts):
        np.testing.assert_allclose(G[rows, rows], np.kron(factors.S[i], factors.A[i]), atol=rounding)
        if i + 1 < len(parts):
            cross = np.kron(factors.S_next[i], factors.A_next[i])
            np.testing.assert_allclose(G[rows, parts[i + 1]], cross, atol=rounding)
    assert np.all(np.linalg.eigvalsh((C + C.T) / 2) > 0)
    return C, G


@pytest.mark.parametrize("options", TANH)
def test_undamped_the_inverse_is_tridiagonal_and_its_own_inverse_has_kronecker_blocks(options):
    J, w = own(**options)
    C, G = check(J, w, 0.0)
    # Layers 1 and 3 are not independent, though Ĝ⁻¹ has nothing between them.
    first, _, last = J.problem.network.slices
    assert np.abs(G[first, last]).max() > 1e-3 * np.abs(G).max()
    written = np.asarray(jax.jit(lambda J, w: block_tridiagonal(J, w).matrix)(J, w))
    np.testing.assert_allclose(written, G, atol=1e-15 * np.linalg.cond(C) * np.abs(G).max())


@pytest.mark.parametrize("name", CATALOGUED)
def test_damped_every_network_has_one(name):
    J, w = taken(name)
    check(J, w, 0.1)


@pytest.mark.parametrize("options", [LINEAR, {"loss_on": "softmax"}])
def test_damped_linear_layers_and_softmax_outputs_have_one(options):
    check(*own(**options), 0.1)


@pytest.mark.parametrize(
    ("options", "dtype", "fault"),
    [
        (LINEAR, "float64", DETERMINED),
        (LINEAR, "float32", DETERMINED),
        (LINEAR | {"linear": ()}, "float64", 0),
        ({"loss_on": "softmax"}, "float64", SINGULAR),
        ({"size": 3}, "float64", SINGULAR),  # fewer examples than inputs
    ],
)
def test_what_does_not_exist_undamped_is_named(options, dtype, fault):
    told = in_precision(dtype, statistics(*own(**options)))
    assert fault_of(told, 0.0) == fault
    assert fault_of(told, 0.1) == 0


def test_what_is_not_finite_is_named():
    told = jax.device_get(statistics(*own()))
    for broken in (np.nan, np.inf):
        S_next = [np.full_like(told.S_next[0], broken), told.S_next[1]]
        assert fault_of(told._replace(S_next=S_next), 0.1) == NOT_FINITE
    assert len(FAULTS) == 3


def rational(matrix):
    return np.vectorize(lambda entry: Fraction(float(entry)), otypes=[object])(np.asarray(matrix, float))


def exact_residual(told, γ, U, V):
    """‖Ĝu - v‖ over ‖Ĝ‖‖u‖ + ‖v‖ with Ĝ = Ξ⁻¹ Λ⁻¹ Ξ⁻ᵀ in rational arithmetic."""
    factors = {name: [rational(matrix) for matrix in getattr(told, name)] for name in told._fields}
    for A, S, share in zip(factors["A"], factors["S"], shares(told), strict=True):
        π, exact_γ = Fraction(float(share)), Fraction(float(γ))
        A[np.diag_indices(len(A))] += π * exact_γ
        S[np.diag_indices(len(S))] += exact_γ / π

    def regressed(cross, C):
        inverse = [exact_solution(C, row) for row in np.eye(len(C))]  # rounded once: relative 1e-16
        return cross @ rational(np.transpose(inverse))

    Ψ = [
        (regressed(factors["A_next"][i], factors["A"][i + 1]), regressed(factors["S_next"][i], factors["S"][i + 1]))
        for i in range(len(told.A_next))
    ]
    X = [rational(u) for u in U]
    for i, (Ψ_A, Ψ_S) in enumerate(Ψ):
        X[i + 1] = X[i + 1] + Ψ_S.T @ X[i] @ Ψ_A
    Y = [S @ x @ A for A, x, S in zip(factors["A"], X, factors["S"], strict=True)]
    for i, (Ψ_A, Ψ_S) in enumerate(Ψ):
        Y[i] = Y[i] - (Ψ_S @ factors["S"][i + 1] @ Ψ_S.T) @ X[i] @ (Ψ_A @ factors["A"][i + 1] @ Ψ_A.T)
    for i, (Ψ_A, Ψ_S) in reversed(list(enumerate(Ψ))):
        Y[i] = Y[i] + Ψ_S @ Y[i + 1] @ Ψ_A.T

    def norm(parts):
        return np.sqrt(sum(np.sum(np.asarray(part, float) ** 2) for part in parts))

    size = max(
        float(np.linalg.norm(A.astype(float), 2) * np.linalg.norm(S.astype(float), 2))
        for A, S in zip(factors["A"], factors["S"], strict=True)
    )
    residual = [(y - rational(v)).astype(float) for y, v in zip(Y, V, strict=True)]
    return norm(residual) / (size * norm(U) + norm(V))


@pytest.mark.parametrize(
    ("options", "dtype", "within"),
    [(LINEAR, "float64", 1e-15), (LINEAR, "float32", 1e-6), ({"loss_on": "softmax"}, "float64", 1e-15)],
)
def test_with_ever_less_damping_the_answer_is_right_or_refused(options, dtype, within):
    J, w = own(**options)
    told = in_precision(dtype, statistics(J, w))
    rng, answered = np.random.default_rng(0), []
    V = [rng.standard_normal(shape).astype(dtype) for shape in J.problem.network.shapes]
    for η in (1e-12, 1e-9, 1e-6, 1e-3, 1.0):
        γ = np.sqrt(η)
        U, fault = applied(told, γ, V)
        if fault == 0:
            answered.append(η)
            assert exact_residual(told, γ, U, V) < within
    assert set(answered) >= ({1e-12, 1e-9, 1e-6, 1e-3, 1.0} if dtype == "float64" else {1e-3, 1.0})


def test_the_factored_solve_is_the_dense_one():
    J, w = own(l2=0.03)
    v = np.random.default_rng(0).standard_normal(w.shape)

    @jax.jit
    def solved(J, w, v, η):
        x, singular = block_tridiagonal(J, w).solve(v, η)
        return x, singular, block_tridiagonal(J, w, η + 0.03).matrix

    for η in (1e-9, 1e-2, 1.0):
        x, singular, G = (np.asarray(part) for part in solved(J, w, v, η))
        assert not singular
        assert np.linalg.cond(G) < 1e6
        size = np.linalg.norm(G, 2)
        assert np.linalg.norm(G @ x - v) < 1e-13 * (size * np.linalg.norm(x) + np.linalg.norm(v))
        dense = np.linalg.solve(G, v)
        np.testing.assert_allclose(x, dense, atol=1e-8 * float(np.linalg.norm(dense)))


def test_it_multiplies_and_tells_its_eigenvalues():
    J, w = own(l2=0.03)
    v = np.random.default_rng(0).standard_normal(w.shape)

    @jax.jit
    def told(J, w, v):
        C = block_tridiagonal(J, w)
        return C.matrix, C.multiply(v), C.eigenvalues()

    G, Gv, ν = (np.asarray(part) for part in told(J, w, v))
    np.testing.assert_allclose(Gv, G @ v + 0.03 * v, atol=1e-12)
    np.testing.assert_allclose(ν, np.linalg.eigvalsh((G + G.T) / 2), atol=1e-12)
    assert ν[0] > 0


def test_of_one_example_the_blocks_on_and_beside_the_diagonal_are_exact():
    """Of one example A and S are independent, so that blocks on and beside the diagonal are G's own."""
    J, w = own(size=1)
    G = np.asarray(gauss_newton_of(J, w))
    told = statistics(J, w)
    parts = J.problem.network.slices
    size = np.abs(G).max()
    for i, rows in enumerate(parts):
        np.testing.assert_allclose(np.kron(told.S[i], told.A[i]), G[rows, rows], atol=1e-14 * size)
        if i + 1 < len(parts):
            cross = np.kron(told.S_next[i], told.A_next[i])
            np.testing.assert_allclose(cross, G[rows, parts[i + 1]], atol=1e-14 * size)


def test_one_layer_is_k_facs_only_block():
    J, w = taken("logistic-regression")
    told = statistics(J, w)
    (u,), _ = applied(told, 0.3, [w[None]])
    factors = jax.device_get(damped(told, 0.3))
    np.testing.assert_allclose(factors.S[0] @ u @ factors.A[0], w[None], atol=1e-13)


@jax.jit
def regressed(x, y):
    here, after = (Whitened.of(a.T @ a / len(a)) for a in (x, y))
    return Regression.of(here, x.T @ y / len(x), after)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "m", "spread"), [(2, 1, 1.0), (6, 4, 1e2), (33, 17, 1e3)])
def test_rounding_is_not_taken_for_independence(n, m, spread, dtype):
    """Inputs and their linear images are correlated by 1: what rounding leaves of 1 - r is below its estimate."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        x = rng.standard_normal((500, n)) * np.geomspace(1, spread**-0.5, n)
        x = x @ np.linalg.qr(rng.standard_normal((n, n)))[0]
        y = x @ rng.standard_normal((n, m))
        found = regressed(x.astype(dtype), y.astype(dtype))
        assert np.all((1 - found.r <= found.rounding)[-m:])
        assert np.all(found.rounding[-m:] < 0.1)
