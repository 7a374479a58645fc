r"""Kronecker-factored approximate curvature (Martens & Grosse 2015; the lecture's last part)."""

from typing import Any

import jax
import jax.numpy as jnp

from secondorder.core import Objective, option, register
from secondorder.curvature.kronecker import FAULTS, Factors, diagonalize, estimate, invert, lowest_damping
from secondorder.factored import FactorDamped

Array = jax.Array


@register
class KFAC(FactorDamped):
    r"""Δ_l = -S_l⁻¹ ∇_l J A_(l-1)⁻¹: natural gradient as if layers were independent, and inputs of pseudo-gradients.

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

    @property
    def trial_every(self) -> int | None:
        return super().trial_every if self.inverse == "pi" else None

    def estimate(self, J: Objective, w: Array) -> Factors:
        return estimate(J, w, self.statistics == "exact")

    def prepare(self, J: Objective, w: Array, statistics: Factors, γ: Array) -> Any:
        return invert(statistics, γ) if self.inverse == "pi" else diagonalize(statistics)

    def lowest(self, prepared: Any) -> Array | float:
        if self.inverse == "pi":
            return super().lowest(prepared)
        return lowest_damping([jnp.outer(s, a) for (a, _), (s, _) in zip(prepared.A, prepared.S, strict=True)])

    def propose(self, J: Objective, prepared: Any, g: Array, λ: Array) -> tuple[Array, Array]:
        layers = J.problem.network
        assert layers is not None
        if self.inverse == "pi":
            return -layers.join(prepared.apply(layers.split(g))), prepared.fault
        l2 = jnp.max(jnp.asarray(J.problem.l2_diagonal()))
        solved, singular = prepared.apply(layers.split(g), λ + l2)
        return -layers.join(solved), jnp.where(prepared.fault > 0, prepared.fault, 2 * singular)
