r"""The block-tridiagonal approximation of G⁻¹ (Martens & Grosse 2015, "M&G", §4.3 and appendix B).

K-FAC takes layers as independent. Here a layer's pseudo-gradient may depend on the next one's, and on those further
away only through it: a chain, whose inverse covariance is block-tridiagonal.

    Ĝ⁻¹ = Ξᵀ Λ Ξ,    Ξ = I with -Ψ_(l,l+1) above its diagonal,    Λ = blockdiag(Σ_(l|l+1)⁻¹)
    Ψ_(l,l+1) = A_(l-1,l) A_l⁻¹ ⊗ S_(l,l+1) S_(l+1)⁻¹            layer l regressed on layer l + 1
    Σ_(l|l+1) = A_(l-1) ⊗ S_l - Ψ (A_l ⊗ S_(l+1)) Ψᵀ             what that leaves; A_(L-1) ⊗ S_L for the last layer

============  ==================================================================  ======================
symbol        meaning                                                             shape
============  ==================================================================  ======================
``A_(l-1)``   E[ā āᵀ], second moments of layer l's inputs with their 1            ``(in + 1, in + 1)``
``S_l``       E[Ds_l Ds_lᵀ], second moments of its pseudo-gradients               ``(out, out)``
``A_(l-1,l)`` E[ā_(l-1) ā_lᵀ], of a layer's inputs with the next one's            ``(in + 1, in' + 1)``
``S_(l,l+1)`` E[Ds_l Ds_(l+1)ᵀ]                                                   ``(out, out')``
``V``         a layer's part of a vector, the shape of W̄_l                       ``(out, in + 1)``
``γ``         damping of the factors                                              scalar
============  ==================================================================  ======================

With A = LLᵀ, the eigenvalues r of MMᵀ for M = L_(l-1)⁻¹ A_(l-1,l) L_l⁻ᵀ are the squared canonical correlations of the
two layers' inputs; r_S are those of their pseudo-gradients. In the basis K = L⁻ᵀE of eigenvectors Σ is I - r_S r_Aᵀ.
Where both correlations are 1, as at a linear layer, layer l is a function of layer l + 1 and Σ is singular; where the
model's outputs have a direction without variance, as a softmax has, S_L is. Damping mends both.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Layers, Objective
from secondorder.network import homogeneous
from secondorder.pullback import moments, record
from secondorder.solve import eigenvalues, eigh, inverse_positive, pi, unit_diagonal, whiten

Array = jax.Array
FAULTS = (
    "a Kronecker factor is not finite",
    "a damped Kronecker factor is singular",
    "a layer's pseudo-gradients are a linear function of the next layer's, so that Ĝ⁻¹ does not exist",
)


class Statistics(NamedTuple):
    """The second moments of L layers, and of the L - 1 pairs of neighbours."""

    A: list[Array]
    S: list[Array]
    A_next: list[Array]
    S_next: list[Array]

    def damped(self, γ: Array | float) -> "Statistics":
        """With A + πγ I and S + γ/π I in the place of A and S (M&G §6.3)."""
        πs = [pi(A, S) for A, S in zip(self.A, self.S, strict=True)]
        return self._replace(
            A=[A + π * γ * jnp.eye(len(A), dtype=A.dtype) for A, π in zip(self.A, πs, strict=True)],
            S=[S + γ / π * jnp.eye(len(S), dtype=S.dtype) for S, π in zip(self.S, πs, strict=True)],
        )


def estimate(J: Objective, w: Array, exact: bool = False) -> Statistics:
    """All second moments on the batch; S from one sampled target an example, or the exact expectation over them."""
    seen = record(J, w)
    ā = [homogeneous(a) for a in seen.inputs]
    B = len(seen.z)

    def of(Ds: list[Array]) -> tuple[list[Array], list[Array]]:
        return [d.T @ d / B for d in Ds], [d.T @ e / B for d, e in pairwise(Ds)]

    S, S_next = moments(J, seen, of, exact)
    return Statistics([a.T @ a / B for a in ā], S, [a.T @ b / B for a, b in pairwise(ā)], S_next)


class Chain(NamedTuple):
    """Ĝ⁻¹ ready to be multiplied with, and what keeps it from being used, if anything."""

    Ψ: list[tuple[Array, Array]]  # A_(l-1,l) A_l⁻¹ and S_(l,l+1) S_(l+1)⁻¹, l = 1 … L - 1
    K: list[tuple[Array, Array]]  # K_A and K_S of each layer, in whose basis Σ_(l|l+1) is diagonal
    Σ: list[Array]  # that diagonal, 1 - r_S r_Aᵀ (out, in + 1)
    fault: Array  # 0, or which of `FAULTS` from 1

    def apply(self, V: Sequence[Array]) -> list[Array]:
        """Ξᵀ Λ Ξ v: each layer's U."""
        before = [v - Ψ_S @ after @ Ψ_A.T for v, after, (Ψ_A, Ψ_S) in zip(V, V[1:], self.Ψ, strict=False)]
        U = [
            K_S @ ((K_S.T @ v @ K_A) / σ) @ K_A.T
            for v, (K_A, K_S), σ in zip([*before, V[-1]], self.K, self.Σ, strict=True)
        ]
        after = [u - Ψ_S.T @ before @ Ψ_A for u, before, (Ψ_A, Ψ_S) in zip(U[1:], U, self.Ψ, strict=False)]
        return [U[0], *after]


class Whitened(NamedTuple):
    """A factor C = LLᵀ by its L⁻¹, and its smallest pivot at unit diagonal: 1 over a condition number, to its order."""

    C: Array
    inverse: Array
    pivot: Array

    @classmethod
    def of(cls, C: Array) -> "Whitened":
        scaled, scale, has_positive_diagonal = unit_diagonal(C)
        inverse, pivots = whiten(scaled)
        return cls(C, inverse * scale, jnp.where(has_positive_diagonal, jnp.min(pivots), 0.0))

    @property
    def singular(self) -> Array:
        return ~(self.pivot > len(self.C) * jnp.finfo(self.C.dtype).eps)


class Regression(NamedTuple):
    """One factor of a layer regressed on the next layer's."""

    Ψ: Array  # cross C_next⁻¹
    K: Array  # KᵀCK = I and Kᵀ(Ψ C_next Ψᵀ)K = diag(r)
    r: Array
    rounding: Array  # of r: that of both factors, as far as it lies along the two directions that r correlates

    @classmethod
    def of(cls, here: Whitened, cross: Array, following: Whitened) -> "Regression":
        M = here.inverse @ cross @ following.inverse.T
        r, E = eigh(M @ M.T)
        Ψ, K = cross @ following.inverse.T @ following.inverse, here.inverse.T @ E
        seen = jnp.trace(here.C) * jnp.sum(K**2, axis=0) + jnp.trace(following.C) * jnp.sum((Ψ.T @ K) ** 2, axis=0)
        return cls(Ψ, K, jnp.clip(r, 0, 1), ROUNDING * jnp.finfo(r.dtype).eps * seen)


ROUNDING = 16  # of an r that should be 1, in units of its estimate: at most 11 in 1e4 random linear layers


def prepare(statistics: Statistics, γ: Array | float) -> Chain:
    """Ĝ⁻¹ from π-damped factors: two Cholesky factorizations and two eigendecompositions a layer."""
    damped = statistics.damped(γ)
    A, S = ([Whitened.of(C) for C in side] for side in (damped.A, damped.S))
    by_A = [Regression.of(*parts) for parts in zip(A[:-1], damped.A_next, A[1:], strict=True)]
    by_S = [Regression.of(*parts) for parts in zip(S[:-1], damped.S_next, S[1:], strict=True)]
    Σ, determined = [], jnp.asarray(False)
    for a, s in zip(by_A, by_S, strict=True):
        σ = 1 - jnp.outer(s.r, a.r)
        determined |= jnp.any(σ <= jnp.minimum(jnp.add.outer(s.rounding, a.rounding), 1 / 2))
        Σ.append(σ)
    Σ.append(jnp.ones((len(damped.S[-1]), len(damped.A[-1])), damped.A[-1].dtype))
    K = [(a.K, s.K) for a, s in zip(by_A, by_S, strict=True)] + [(A[-1].inverse.T, S[-1].inverse.T)]
    singular = jnp.any(jnp.stack([factor.singular for factor in (*A, *S)]))
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(part)) for part in jax.tree.leaves(statistics)]))
    fault = jnp.where(finite, jnp.where(singular, 2, jnp.where(determined, 3, 0)), 1)
    return Chain([(a.Ψ, s.Ψ) for a, s in zip(by_A, by_S, strict=True)], K, Σ, fault)


class BlockTridiagonal(NamedTuple):
    """Ĝ as a `core.Curvature`. Its damped solve has the damping in the factors, γ = √(η + l2), as K-FAC's has.

    With ``damping`` the matrix is that of damped factors: undamped it may not exist, and is then not finite.
    """

    network: Layers
    statistics: Statistics
    l2: Array | float = 0.0  # of the l2 term; a diagonal is taken by its largest entry where it damps
    damping: Array | float = 0.0

    @property
    def matrix(self) -> Array:
        """Ĝ = Ξ⁻¹ Λ⁻¹ Ξ⁻ᵀ: Kronecker products on the diagonal and beside it, and what follows from them elsewhere."""
        n = self.network.slices[-1].stop
        return jax.vmap(self._multiply)(jnp.eye(n, dtype=self.statistics.A[0].dtype))

    def _multiply(self, v: Array) -> Array:
        damped = self.statistics.damped(jnp.sqrt(self.damping))
        Ψ = [
            tuple(cross @ inverse_positive(C)[0] for cross, C in ((A_next, A), (S_next, S)))
            for A, S, A_next, S_next in zip(damped.A[1:], damped.S[1:], damped.A_next, damped.S_next, strict=True)
        ]
        V = list(self.network.split(v))
        for i, (Ψ_A, Ψ_S) in enumerate(Ψ):  # Ξ⁻ᵀ
            V[i + 1] += Ψ_S.T @ V[i] @ Ψ_A
        U = [S @ u @ A for A, u, S in zip(damped.A, V, damped.S, strict=True)]
        for i, (Ψ_A, Ψ_S) in enumerate(Ψ):  # Λ⁻¹
            U[i] -= Ψ_S @ damped.S_next[i].T @ V[i] @ damped.A_next[i] @ Ψ_A.T
        for i, (Ψ_A, Ψ_S) in reversed(list(enumerate(Ψ))):  # Ξ⁻¹
            U[i] += Ψ_S @ U[i + 1] @ Ψ_A.T
        return self.network.join(U)

    def multiply(self, v: Array) -> Array:
        return self._multiply(v) + self.l2 * v

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        chain = prepare(self.statistics, jnp.sqrt(self.damping + damping + jnp.max(jnp.asarray(self.l2))))
        return self.network.join(chain.apply(self.network.split(v))), chain.fault > 0

    def eigenvalues(self) -> Array:
        return eigenvalues(self.matrix)


def block_tridiagonal(J: Objective, w: Array, damping: Array | float = 0.0, exact: bool = True) -> BlockTridiagonal:
    """The approximation of G on the batch."""
    assert J.problem.network is not None, f"{J.problem.name} has no layers"
    return BlockTridiagonal(J.problem.network, estimate(J, w, exact), J.problem.l2_diagonal(), damping)
