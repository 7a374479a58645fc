"""EKFAC's matrix against dense ones, and its promise: never further from G's blocks than K-FAC's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder.core import Objective
from secondorder.curvature import kronecker
from secondorder.curvature.eigenvalue_corrected import Bases, EigenvalueCorrected, scales
from secondorder.curvature.gauss_newton import gauss_newton
from tests.oracles import make_problem, small

NETWORKS = ["regression-network", "digits-classifier", "digits-autoencoder"]


@jax.jit
def both(J: Objective, w):
    """K-FAC's and EKFAC's matrices on the same data, in exact expectation, and G."""
    C = kronecker.kronecker(J, w)
    found = kronecker.diagonalize(C.factors)
    bases = Bases([Q for _, Q in found.A], [Q for _, Q in found.S])
    corrected = EigenvalueCorrected(C.network, bases, scales(J, w, bases, exact=True), J.problem.l2_diagonal())
    return C.matrix, corrected.matrix, gauss_newton(J, w).matrix, corrected


def slices(name: str) -> list[slice]:
    return small(name)[0].problem.network.slices


@pytest.fixture(scope="module")
def found():
    """Asked once for each network."""
    return {name: both(*small(name)) for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_error_is_never_above_kfacs(found, name):
    kfac, ekfac, G = (np.asarray(matrix) for matrix in found[name][:3])
    for part in slices(name):
        error, corrected = (np.linalg.norm((C - G)[part, part]) for C in (kfac, ekfac))
        assert corrected <= error + 1e-14 * np.linalg.norm(G[part, part])
    assert np.linalg.norm(ekfac - kfac) > 1e-6 * np.linalg.norm(kfac), "there is something to correct"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_scales_are_gs_own_along_the_eigenvectors(found, name):
    """D_ij = (q_S ⊗ q_A)ᵀ G_ll (q_S ⊗ q_A)."""
    _, _, G, corrected = found[name]
    for part, Q_A, Q_S, D in zip(slices(name), *corrected.bases, corrected.D, strict=True):
        Q = np.kron(Q_S, Q_A)
        expected = np.einsum("ij,ik,kj->j", Q, np.asarray(G)[part, part], Q)
        np.testing.assert_allclose(np.ravel(D), expected, rtol=1e-9, atol=1e-13 * expected.max())


def test_does_what_its_matrix_does(found):
    _, matrix, _, C = found["regression-network"]
    v = jnp.asarray(np.random.default_rng(0).standard_normal(len(matrix)))
    np.testing.assert_allclose(C.multiply(v), matrix @ v + 0.03 * v, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(C.eigenvalues(), np.linalg.eigvalsh(matrix), atol=1e-12 * np.abs(matrix).max())
    x, singular = C.solve(v, 1e-4)
    assert not singular
    assert np.linalg.norm(matrix @ x + (0.03 + 1e-4) * x - v) < 1e-8 * np.linalg.norm(v)


def test_no_damping_where_a_scale_vanishes_is_singular():
    network = make_problem("regression-network").network
    bases = Bases([jnp.eye(c) for _, c in network.shapes], [jnp.eye(r) for r, _ in network.shapes])
    D = [jnp.ones(shape).at[0, 0].set(0.0) for shape in network.shapes]
    _, singular = EigenvalueCorrected(network, bases, D).solve(jnp.ones(network.dimension))
    assert singular
