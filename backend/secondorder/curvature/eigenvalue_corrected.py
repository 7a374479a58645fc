r"""The eigenvalue-corrected Kronecker factorization, EKFAC (George et al. 2018).

K-FAC's eigenvectors Q_A and Q_S are kept; its eigenvalues s_i a_j give way to the pseudo-gradients' second moments
along them. Of all matrices with these eigenvectors that is the nearest to G's block in the Frobenius norm.

    D_l = E[(Q_Sᵀ DW̄_l Q_A)²],    Ĝ_l⁻¹V = Q_S [(Q_Sᵀ V Q_A) / (D_l + λ)] Q_Aᵀ
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Layers, Objective
from secondorder.pullback import moments, record

Array = jax.Array


class Bases(NamedTuple):
    """The eigenvectors of every layer's Kronecker factors."""

    A: list[Array]  # Q_A (in + 1, in + 1)
    S: list[Array]  # Q_S (out, out)


def scales(J: Objective, w: Array, bases: Bases, exact: bool = False) -> list[Array]:
    """D_l (out, in + 1) of every layer on the batch; (Q_Sᵀ Ds āᵀ Q_A)² is the outer product of two squares."""
    seen = record(J, w)
    inputs = [(a @ Q[:-1] + Q[-1]) ** 2 for a, Q in zip(seen.inputs, bases.A, strict=True)]

    def squares(Ds: list[Array]) -> list[Array]:
        return [((d @ Q) ** 2).T @ a / len(a) for d, Q, a in zip(Ds, bases.S, inputs, strict=True)]

    return moments(J, seen, squares, exact)


class EigenvalueCorrected(NamedTuple):
    """The matrix as a `core.Curvature`."""

    network: Layers
    bases: Bases
    D: list[Array]
    l2: Array | float = 0.0  # of the l2 term; a diagonal is taken by its largest entry

    def apply(self, V: Sequence[Array], λ: Array | float) -> tuple[list[Array], Array]:
        """(Ĝ + λI)⁻¹ V for each layer, and whether that matrix is singular."""
        solved, singular = [], []
        for Q_A, Q_S, D, v in zip(*self.bases, self.D, V, strict=True):
            ν = D + λ
            solved.append(Q_S @ ((Q_S.T @ v @ Q_A) / ν) @ Q_A.T)
            singular.append(~(jnp.min(ν) > max(v.shape) * jnp.finfo(ν.dtype).eps * jnp.max(ν)))
        return solved, jnp.any(jnp.stack(singular))

    @property
    def matrix(self) -> Array:
        """Block-diagonal, in the order of the flat vector."""
        Qs = [jnp.kron(Q_S, Q_A) for Q_A, Q_S in zip(*self.bases, strict=True)]
        return jax.scipy.linalg.block_diag(*((Q * D.ravel()) @ Q.T for Q, D in zip(Qs, self.D, strict=True)))

    def multiply(self, v: Array) -> Array:
        turned = zip(*self.bases, self.D, self.network.split(v), strict=True)
        C_v = [Q_S @ ((Q_S.T @ u @ Q_A) * D) @ Q_A.T for Q_A, Q_S, D, u in turned]
        return self.network.join(C_v) + self.l2 * v

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        solved, singular = self.apply(self.network.split(v), damping + jnp.max(jnp.asarray(self.l2)))
        return self.network.join(solved), singular

    def eigenvalues(self) -> Array:
        return jnp.sort(jnp.concatenate([D.ravel() for D in self.D]))
