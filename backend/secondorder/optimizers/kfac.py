r"""Kronecker-factored approximate curvature (Martens & Grosse 2015; the lecture's last part)."""

from typing import Any

import jax

from secondorder.core import Objective, option, register
from secondorder.curvature.kronecker import FAULTS, Factors, diagonalize, estimate, invert
from secondorder.factored import Factored

Array = jax.Array


@register
class KFAC(Factored):
    r"""Δ_l = -S_l⁻¹ ∇_l J A_(l-1)⁻¹: the natural gradient as if layers were independent, and inputs of pseudo-gradients.

    ``inverse`` says how damping enters: "pi" adds πγ and γ/π to the factors (M&G §6.3), "eigen" solves
    (A ⊗ S + (λ + l2)I) exactly in the factors' eigenbases.
    """

    name = "kfac"
    title = "K-FAC"
    equation = (
        r"\Delta \bar{\mathbf{W}}_\ell = -\mathbf{S}_\ell^{-1} \nabla_{\bar{\mathbf{W}}_\ell} \mathcal{J}"
        r"\, \mathbf{A}_{\ell-1}^{-1}"
    )
    refusals = FAULTS

    inverse: str = option("pi", "how damping enters the inverse", enum=["pi", "eigen"])

    def estimate(self, J: Objective, w: Array) -> Factors:
        return estimate(J, w, self.statistics == "exact")

    def prepare(self, J: Objective, statistics: Factors, γ: Array) -> Any:
        return invert(statistics, γ) if self.inverse == "pi" else diagonalize(statistics)

    def propose(self, J: Objective, prepared: Any, g: Array, λ: Array) -> tuple[Array, Array]:
        layers = J.problem.network
        assert layers is not None
        if self.inverse == "pi":
            return -layers.join(prepared.apply(layers.split(g))), prepared.fault
        l2 = jax.numpy.max(jax.numpy.asarray(J.problem.l2_diagonal()))
        solved, singular = prepared.apply(layers.split(g), λ + l2)
        return -layers.join(solved), jax.numpy.where(prepared.fault > 0, prepared.fault, 2 * singular)
