r"""K-FAC with corrected eigenvalues (George et al. 2018)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Objective, register
from secondorder.curvature.eigenvalue_corrected import Bases, EigenvalueCorrected, scales
from secondorder.curvature.kronecker import FAULTS, Factors, diagonalize, estimate, lowest_damping
from secondorder.factored import Factored

Array = jax.Array


class Prepared(NamedTuple):
    """The factors' eigenvectors, and a moving average of the second moments along them."""

    bases: Bases
    D: list[Array]
    fault: Array


@register
class EKFAC(Factored):
    r"""Δ_l = -Q_S [(Q_Sᵀ ∇_l J Q_A) / (D_l + λ + l2)] Q_Aᵀ, D_l = E[(Q_Sᵀ DW̄_l Q_A)²]: exactly damped, without a γ.

    The eigenvectors are taken anew every T₃ steps, and with them D_l from the batch; in between D_l is averaged on.
    """

    name = "ekfac"
    title = "EKFAC"
    equation = (
        r"\Delta \bar{\mathbf{W}}_\ell = -\mathbf{Q}_S \left[\frac{\mathbf{Q}_S^\top \nabla_{\bar{\mathbf{W}}_\ell}"
        r" \mathcal{J} \, \mathbf{Q}_A}{\mathbf{D}_\ell + \lambda}\right] \mathbf{Q}_A^\top"
    )
    refusals = FAULTS

    def estimate(self, J: Objective, w: Array) -> Factors:
        return estimate(J, w, self.statistics == "exact")

    def prepare(self, J: Objective, w: Array, statistics: Factors, γ: Array) -> Prepared:
        found = diagonalize(statistics)
        bases = Bases([Q for _, Q in found.A], [Q for _, Q in found.S])
        return Prepared(bases, scales(J, w, bases, self.statistics == "exact"), found.fault)

    def track(self, J: Objective, w: Array, prepared: Prepared, ε: Array) -> Prepared:
        new = scales(J, w, prepared.bases, self.statistics == "exact")
        return prepared._replace(D=jax.tree.map(lambda old, now: ε * old + (1 - ε) * now, prepared.D, new))

    def lowest(self, prepared: Prepared) -> Array:
        return lowest_damping(prepared.D)

    def propose(self, J: Objective, prepared: Prepared, g: Array, λ: Array) -> tuple[Array, Array]:
        layers = J.problem.network
        assert layers is not None
        corrected = EigenvalueCorrected(layers, prepared.bases, prepared.D)
        solved, singular = corrected.apply(layers.split(g), λ + jnp.max(jnp.asarray(J.problem.l2_diagonal())))
        return -layers.join(solved), jnp.where(prepared.fault > 0, prepared.fault, 2 * singular)
