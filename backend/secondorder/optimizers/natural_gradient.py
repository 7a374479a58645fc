r"""Natural gradient descent (Amari 1998): steepest descent when distance is measured between predictions."""

import jax

from secondorder.core import Objective, Problem, register
from secondorder.curvature.fisher import fisher
from secondorder.damping import Damped


@register
class NaturalGradient(Damped):
    r"""δ = -(F + ηI)⁻¹∇J(w), F = E[Dw Dwᵀ] with targets drawn from the model."""

    name = "natural-gradient"
    title = "Natural gradient"
    equation = r"\mathbf{w} \leftarrow \mathbf{w} - (\mathbf{F} + \eta \mathbf{I})^{-1} \nabla \mathcal{J}(\mathbf{w})"
    refusals = ("the damped Fisher matrix F + ηI is singular",)

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None or not problem.predicts:
            return "needs a model that predicts a distribution of targets, whose Fisher matrix can be taken"
        return super().fit(problem)

    def direction(self, J: Objective, w: jax.Array, g: jax.Array, η: jax.Array):
        F = fisher(J, w)
        δ, singular = F.solve(-g, η)
        return δ, F.multiply, singular
