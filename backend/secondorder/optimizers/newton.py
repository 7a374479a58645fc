r"""Newton's method (lecture, interpretation 1): minimize the second-order Taylor approximation, again and again."""

import jax

from secondorder.core import Objective, Optimizer, Problem, Step, register
from secondorder.curvature.hessian import hessian


@register
class Newton(Optimizer):
    r"""δ = -H⁻¹∇J(w): to the stationary point of the quadratic model, a minimum only where H ≻ 0."""

    name = "newton"
    title = "Newton"
    equation = r"\mathbf{w} \leftarrow \mathbf{w} - \mathbf{H}^{-1} \nabla \mathcal{J}(\mathbf{w})"
    refusals = ("the Hessian is singular",)

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.kind == "network":
            return "a network's Hessian is indefinite or singular nearly everywhere: damp it (damped-newton)"
        return None

    def price(self, n: int) -> tuple[float, float]:
        return 1.0 + n, 1.0 * n**3

    def room(self, problem: Problem) -> float:
        return 4.0 * problem.dimension**2

    def step(self, J: Objective, w: jax.Array, state: tuple) -> Step:
        g, H = J.gradient(w), hessian(J, w)
        δ, singular = H.solve(-g)
        return Step(δ, state, passes=1.0 + w.shape[0], refused=singular.astype(int))
