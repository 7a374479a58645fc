r"""The Kronecker-factored approximation of G (Martens & Grosse 2015, "M&G"): G_ll ≈ A_(l-1) ⊗ S_l, layers independent.

============  ==========================================================  ======================
symbol        meaning                                                     shape
============  ==========================================================  ======================
``A_(l-1)``   E[ā āᵀ], second moments of layer l's inputs with their 1    ``(in + 1, in + 1)``
``S_l``       E[Ds Dsᵀ], second moments of its pseudo-gradients           ``(out, out)``
``V``         a layer's part of a vector, the shape of W̄_l               ``(out, in + 1)``
``λ``, ``γ``  damping of the matrix, and of its factors                   scalar
============  ==========================================================  ======================

(A ⊗ S) vec(V) = vec(S V A), so the solve takes two inverses the size of the factors. The weights stand row by row in
the flat vector, so that written out in their order a block is S ⊗ A.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Layers, Objective
from secondorder.pullback import moments, record
from secondorder.solve import eigh, inverse_positive, pi

Array = jax.Array


class Factors(NamedTuple):
    """The factors of every layer."""

    A: list[Array]
    S: list[Array]


def second_moments(a: Array) -> Array:
    """E[ā āᵀ] (in + 1, in + 1) of inputs a (B, in): with the mean beside it and 1 in the corner."""
    mean = jnp.mean(a, axis=0)[:, None]
    return jnp.block([[a.T @ a / len(a), mean], [mean.T, jnp.ones((1, 1), a.dtype)]])


def estimate(J: Objective, w: Array, exact: bool = False) -> Factors:
    """Both factors of every layer on the batch.

    S from one pseudo-gradient an example, targets drawn from the model with the step's key; ``exact`` takes the
    expectation over the outputs instead, one backward pass for each of them.
    """
    seen = record(J, w)
    S = moments(J, seen, lambda Ds: [d.T @ d / len(d) for d in Ds], exact)
    return Factors([second_moments(a) for a in seen.inputs], S)


class Inverses(NamedTuple):
    """The inverses of the π-damped factors (M&G §6.3), and what keeps them from being used, if anything."""

    A: list[Array]
    S: list[Array]
    fault: Array  # 0, 1: a factor is not finite, 2: a factor is singular

    def apply(self, V: Sequence[Array]) -> list[Array]:
        """(S_l + γ/π I)⁻¹ V_l (A_(l-1) + πγ I)⁻¹ for each layer."""
        return [S @ v @ A for A, v, S in zip(self.A, V, self.S, strict=True)]


FAULTS = ("a Kronecker factor is not finite", "a damped Kronecker factor is singular")


def fault_of(parts: Sequence[Array], singular: Array) -> Array:
    """Which of `FAULTS` (from 1) some factors have, 0 for none."""
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(part)) for part in parts]))
    return jnp.where(finite, jnp.where(singular, 2, 0), 1)


def invert(factors: Factors, γ: Array | float) -> Inverses:
    """The inverses of A + πγ I and S + γ/π I: (A + πγ I) ⊗ (S + γ/π I) is A ⊗ S + γ² I, and cross terms besides."""
    inverses, singular = Inverses([], [], jnp.asarray(0)), []
    for A, S in zip(*factors, strict=True):
        π = pi(A, S)
        for into, C, damping in ((inverses.A, A, π * γ), (inverses.S, S, γ / π)):
            inverse, is_singular = inverse_positive(C + damping * jnp.eye(len(C), dtype=C.dtype))
            into.append(inverse)
            singular.append(is_singular)
    return inverses._replace(fault=fault_of([*factors.A, *factors.S], jnp.any(jnp.stack(singular))))


class Eigenbases(NamedTuple):
    """A = Q_A diag(a) Q_Aᵀ and S = Q_S diag(s) Q_Sᵀ of every layer."""

    A: list[tuple[Array, Array]]  # a, Q_A
    S: list[tuple[Array, Array]]  # s, Q_S
    fault: Array

    def apply(self, V: Sequence[Array], λ: Array | float) -> tuple[list[Array], Array]:
        """(A ⊗ S + λI)⁻¹ exactly, U = Q_S [(Q_Sᵀ V Q_A) / (s aᵀ + λ)] Q_Aᵀ a layer, and whether that is singular."""
        solved, singular = [], []
        for (a, Q_A), v, (s, Q_S) in zip(self.A, V, self.S, strict=True):
            ν = jnp.outer(s, a) + λ
            solved.append(Q_S @ ((Q_S.T @ v @ Q_A) / ν) @ Q_A.T)
            singular.append(~(jnp.min(ν) > max(v.shape) * jnp.finfo(ν.dtype).eps * jnp.max(ν)))
        return solved, jnp.any(jnp.stack(singular))


def lowest_damping(ν: Sequence[Array]) -> Array:
    """Four times the damping under which `Eigenbases.apply` calls the largest of some spectra singular."""
    return jnp.max(jnp.stack([4 * max(part.shape) * jnp.finfo(part.dtype).eps * jnp.max(part) for part in ν]))


def diagonalize(factors: Factors) -> Eigenbases:
    """The factors' eigenbases. What is below zero by rounding is zero."""
    bases = [[(jnp.maximum(ν, 0), Q) for ν, Q in map(eigh, side)] for side in factors]
    return Eigenbases(bases[0], bases[1], fault_of([*factors.A, *factors.S], jnp.asarray(False)))


class Kronecker(NamedTuple):
    """The Kronecker-factored matrix as a `core.Curvature`; its damped solve is the exact one."""

    network: Layers
    factors: Factors
    l2: Array | float = 0.0  # of the l2 term; a diagonal is taken by its largest entry

    @property
    def matrix(self) -> Array:
        """Block-diagonal, a layer's block S ⊗ A in the order of the flat vector."""
        return jax.scipy.linalg.block_diag(*(jnp.kron(S, A) for A, S in zip(*self.factors, strict=True)))

    def multiply(self, v: Array) -> Array:
        V = self.network.split(v)
        return self.network.join([S @ u @ A for A, u, S in zip(self.factors.A, V, self.factors.S, strict=True)]) + (
            self.l2 * v
        )

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        bases = diagonalize(self.factors)
        solved, singular = bases.apply(self.network.split(v), damping + jnp.max(jnp.asarray(self.l2)))
        return self.network.join(solved), singular | (bases.fault > 0)

    def eigenvalues(self) -> Array:
        """All products a_i s_j of each layer's factors."""
        bases = diagonalize(self.factors)
        return jnp.sort(
            jnp.concatenate([jnp.outer(s, a).ravel() for (a, _), (s, _) in zip(bases.A, bases.S, strict=True)])
        )


def kronecker(J: Objective, w: Array, exact: bool = True) -> Kronecker:
    """The Kronecker-factored approximation of G on the batch."""
    assert J.problem.network is not None, f"{J.problem.name} has no layers"
    return Kronecker(J.problem.network, estimate(J, w, exact), J.problem.l2_diagonal())
