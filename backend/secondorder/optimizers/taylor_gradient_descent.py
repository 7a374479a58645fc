r"""Gradient descent on the Taylor approximation (lecture): K steps on a quadratic, each as dear as one on the cost."""

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Optimizer, Problem, Step, knob, option, register
from secondorder.curvature.gauss_newton import gauss_newton_products
from secondorder.curvature.hessian import hessian_products

MATRICES = {"gauss-newton": gauss_newton_products, "hessian": hessian_products}


@register
class TaylorGradientDescent(Optimizer):
    r"""v ← v - α(Cv + ∇J(w)), K times from v = 0: then δ = v = -(I - (I - αC)^K) C⁻¹ ∇J(w).

    A product Cv costs a forward and a backward pass, as a gradient does: with K steps of gradient descent on J itself
    for the same price, there are no savings.
    """

    name = "taylor-gradient-descent"
    title = "Gradient descent on the Taylor approximation"
    equation = (
        r"\mathbf{v} \leftarrow \mathbf{v} - \alpha \left(\mathbf{C} \mathbf{v} + \nabla \mathcal{J}(\mathbf{w})\right)"
    )

    rate: float = knob(None, "α", 1e-6, 100.0, "learning rate", scale="log")
    iterations: float = knob(10.0, "K", 1, 1000, "steps on the approximation", scale="log", whole=True)
    matrix: str = option("gauss-newton", "which matrix", enum=list(MATRICES))

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None:
            return "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        return None

    def price(self, n: int) -> tuple[float, float]:
        return self.iterations, 10.0 * self.iterations * n

    def step(self, J: Objective, w: jax.Array, state: tuple) -> Step:
        g, C = J.gradient(w), MATRICES[self.matrix](J, w)

        def descend(_, v):
            return v - self.rate * (C.multiply(v) + g)

        # The first step's product is C·0.
        v = jax.lax.fori_loop(1, jnp.asarray(self.iterations, int), descend, -self.rate * g)
        return Step(v, state, passes=self.iterations)
