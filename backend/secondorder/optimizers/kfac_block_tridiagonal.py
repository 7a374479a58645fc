r"""K-FAC with neighbouring layers dependent (Martens & Grosse 2015, §4.3)."""

import jax

from secondorder.core import Objective, register
from secondorder.curvature.block_tridiagonal import FAULTS, Chain, Statistics, estimate, prepare
from secondorder.factored import FactorDamped

Array = jax.Array


@register
class KFACBlockTridiagonal(FactorDamped):
    r"""Δ = -ΞᵀΛΞ ∇J: a layer's pseudo-gradients depend on the next layer's, and through them on all that follow.

    The inverse of the curvature is block-tridiagonal, the curvature itself is full. Without damping it does not exist
    at a linear layer, where one layer's pseudo-gradients determine the other's, nor for a softmax: that is refused.
    """

    name = "kfac-block-tridiagonal"
    title = "K-FAC, block-tridiagonal"
    equation = (
        r"\Delta = -\hat{\mathbf{G}}^{-1} \nabla \mathcal{J}, \quad"
        r" \hat{\mathbf{G}}^{-1} = \boldsymbol{\Xi}^\top \boldsymbol{\Lambda} \boldsymbol{\Xi}"
    )
    refusals = FAULTS

    def estimate(self, J: Objective, w: Array) -> Statistics:
        return estimate(J, w, self.statistics == "exact")

    def prepare(self, J: Objective, w: Array, statistics: Statistics, γ: Array) -> Chain:
        return prepare(statistics, γ)

    def propose(self, J: Objective, prepared: Chain, g: Array, λ: Array) -> tuple[Array, Array]:
        layers = J.problem.network
        assert layers is not None
        return -layers.join(prepared.apply(layers.split(g))), prepared.fault
