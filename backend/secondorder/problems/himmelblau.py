r"""Himmelblau's function: four minima, four saddles, one maximum (Himmelblau 1972)."""

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Problem, register
from secondorder.likelihoods import SquaredError


@register
class Himmelblau(Problem):
    r"""J(x, y) = (x² + y - 11)² + (x + y² - 7)², zero at its four minima, one of them (3, 2)."""

    name = "himmelblau"
    title = "Himmelblau"
    equation = r"\mathcal{J}(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2"
    rate = 0.01
    window = ((-5.5, 5.5), (-5.5, 5.5))
    likelihood = SquaredError()

    def start(self, seed: int) -> np.ndarray:
        return np.array([1.5, 4.5])

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        x, y = w
        return jnp.sqrt(2.0) * jnp.stack([x**2 + y - 11, x + y**2 - 7])[None]
