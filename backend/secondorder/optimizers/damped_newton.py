r"""Damped Newton (lecture, interpretation 1): a proximity term η/2‖w - w_k‖² keeps the step short."""

import jax

from secondorder.core import Objective, register
from secondorder.curvature.hessian import hessian
from secondorder.damping import Damped


@register
class DampedNewton(Damped):
    r"""δ = -(H + ηI)⁻¹∇J(w): Newton where the curvature ν ≫ η, gradient descent with rate 1/η where ν ≪ η.

    A descent direction for η > -ν_min; below that the step may ascend, and is shown as it is.
    """

    name = "damped-newton"
    title = "Damped Newton"
    equation = r"\mathbf{w} \leftarrow \mathbf{w} - (\mathbf{H} + \eta \mathbf{I})^{-1} \nabla \mathcal{J}(\mathbf{w})"
    refusals = ("the damped Hessian H + ηI is singular",)

    def direction(self, J: Objective, w: jax.Array, g: jax.Array, η: jax.Array):
        H = hessian(J, w)
        δ, singular = H.solve(-g, η)
        return δ, H.multiply, singular
