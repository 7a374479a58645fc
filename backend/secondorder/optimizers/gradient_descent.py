r"""Gradient descent: δ = -α∇J(w)."""

import jax

from secondorder.core import Objective, Optimizer, Step, knob, register


@register
class GradientDescent(Optimizer):
    r"""w ← w - α∇J(w); on a quadratic it converges for α < 2/ν_max, at a rate set by the condition number."""

    name = "gradient-descent"
    title = "Gradient descent"
    equation = r"\mathbf{w} \leftarrow \mathbf{w} - \alpha \nabla \mathcal{J}(\mathbf{w})"

    rate: float = knob(None, "α", 1e-6, 100.0, "learning rate", scale="log")

    def step(self, J: Objective, w: jax.Array, state: tuple) -> Step:
        return Step(-self.rate * J.gradient(w), state, passes=1.0)
