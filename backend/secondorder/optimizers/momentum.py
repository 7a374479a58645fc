r"""Gradient descent with momentum, the heavy ball (Polyak 1964)."""

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Optimizer, Step, knob, register


@register
class Momentum(Optimizer):
    r"""p ← μp - α∇J(w), w ← w + p; on a quadratic it converges for α < 2(1 + μ)/ν_max."""

    name = "momentum"
    title = "Momentum"
    equation = (
        r"\mathbf{p} \leftarrow \mu \mathbf{p} - \alpha \nabla \mathcal{J}(\mathbf{w}), \quad"
        r"\mathbf{w} \leftarrow \mathbf{w} + \mathbf{p}"
    )

    rate: float = knob(None, "α", 1e-6, 100.0, "learning rate", scale="log")
    momentum: float = knob(0.9, "μ", 0.0, 0.999, "momentum")

    def init(self, J: Objective, w: jax.Array) -> jax.Array:
        return jnp.zeros_like(w)

    def step(self, J: Objective, w: jax.Array, state: jax.Array) -> Step:
        p = self.momentum * state - self.rate * J.gradient(w)
        return Step(p, p, passes=1.0)
