r"""Saddle-free Newton (Dauphin et al. 2014): the Hessian's eigenvalues by their absolute values."""

import jax
import jax.numpy as jnp

from secondorder.core import Objective, register
from secondorder.curvature.hessian import hessian
from secondorder.damping import Damped


@register
class SaddleFreeNewton(Damped):
    r"""δ = -(Q|ν|Qᵀ + ηI)⁻¹∇J(w) for H = QνQᵀ: away from a saddle along negative curvature, where Newton goes to it."""

    name = "saddle-free-newton"
    title = "Saddle-free Newton"
    equation = (
        r"\mathbf{w} \leftarrow \mathbf{w} - "
        r"(\mathbf{Q} |\boldsymbol{\nu}| \mathbf{Q}^\top + \eta \mathbf{I})^{-1} \nabla \mathcal{J}(\mathbf{w})"
    )
    refusals = ("the damped matrix Q|ν|Qᵀ + ηI is singular",)
    largest = 1000

    def price(self, n: int) -> tuple[float, float]:
        passes, _ = super().price(n)
        return passes, 15.0 * n**3

    def direction(self, J: Objective, w: jax.Array, g: jax.Array, η: jax.Array):
        H = hessian(J, w)
        ν, Q = H.spectrum()
        size = jnp.abs(ν) + η
        δ = -Q @ ((Q.T @ g) / size)
        singular = ~(jnp.min(size) > w.shape[0] * jnp.finfo(w.dtype).eps * jnp.max(size))
        return δ, H.multiply, singular
