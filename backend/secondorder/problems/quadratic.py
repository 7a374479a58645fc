r"""A convex quadratic with a condition number and a rotation to choose."""

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Batch, Problem, knob, option, register
from secondorder.likelihoods import SquaredError


@register
class Quadratic(Problem):
    r"""J(w) = ½ wᵀHw, H = Q diag(ν) Qᵀ with eigenvalues 1/κ … 1 (evenly spaced in the logarithm), minimum at 0.

    Q turns by ``rotation`` radians in the plane of each two neighbouring weights.
    """

    name = "quadratic"
    title = "Quadratic"
    equation = r"\mathcal{J}(\mathbf{w}) = \tfrac{1}{2} \mathbf{w}^\top \mathbf{H} \mathbf{w}"
    rate = 1.0
    window = ((-2.0, 2.0), (-2.0, 2.0))
    likelihood = SquaredError()

    condition: float = knob(20.0, "κ", 1.0, 1e10, "condition number", scale="log")
    rotation: float = knob(0.5, "θ", -3.15, 3.15, "rotation (radians)")
    size: int = option(2, "number of weights", minimum=2, maximum=100)

    @property
    def dimension(self) -> int:
        return self.size

    def start(self, seed: int) -> np.ndarray:
        return np.resize([-1.6, 1.2], self.size)

    def turned(self, w: jax.Array) -> jax.Array:
        """Qᵀw."""
        c, s = jnp.cos(self.rotation), jnp.sin(self.rotation)

        # The plane of weights 0 and 1 first: what that leaves in 1 turns with 2, and so on.
        def turn(left, right):
            return c * right - s * left, c * left + s * right

        last, others = jax.lax.scan(turn, w[0], w[1:])
        return jnp.append(others, last)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        exponents = jnp.linspace(1.0, 0.0, self.size)
        return (self.condition ** (-exponents / 2) * self.turned(w))[None]

    def loss(self, w: jax.Array, batch: Batch) -> jax.Array:
        return jnp.sum(self.outputs(w, batch.inputs) ** 2) / 2
