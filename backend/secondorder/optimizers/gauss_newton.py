r"""The generalized Gauss-Newton method: Newton with the positive semidefinite G in place of H."""

import jax

from secondorder.core import Objective, Problem, register
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.damping import Damped


@register
class GaussNewton(Damped):
    r"""δ = -(G + ηI)⁻¹∇J(w), G = E[Jzwᵀ Gz Jzw]: always a descent direction for η > 0."""

    name = "gauss-newton"
    title = "Gauss-Newton"
    equation = r"\mathbf{w} \leftarrow \mathbf{w} - (\mathbf{G} + \eta \mathbf{I})^{-1} \nabla \mathcal{J}(\mathbf{w})"
    refusals = ("the damped Gauss-Newton matrix G + ηI is singular",)

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None:
            return "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        return super().fit(problem)

    def direction(self, J: Objective, w: jax.Array, g: jax.Array, η: jax.Array):
        G = gauss_newton(J, w)
        δ, singular = G.solve(-g, η)
        return δ, G.multiply, singular
