r"""A saddle between two minima."""

import jax
import numpy as np

from secondorder.core import Batch, Problem, register


@register
class Saddle(Problem):
    r"""J(x, y) = x²/2 - y²/2 + y⁴/4: a saddle at 0, to which Newton goes from nearby; minima -¼ at (0, ±1)."""

    name = "saddle"
    title = "Saddle"
    equation = r"\mathcal{J}(x, y) = \tfrac{1}{2} x^2 - \tfrac{1}{2} y^2 + \tfrac{1}{4} y^4"
    rate = 0.2
    window = ((-1.6, 1.6), (-1.6, 1.6))

    def start(self, seed: int) -> np.ndarray:
        return np.array([1.2, 0.3])

    def loss(self, w: jax.Array, batch: Batch) -> jax.Array:
        x, y = w
        return x**2 / 2 - y**2 / 2 + y**4 / 4
