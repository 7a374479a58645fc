r"""Rosenbrock's banana (Rosenbrock 1960)."""

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Problem, register
from secondorder.likelihoods import SquaredError


@register
class Rosenbrock(Problem):
    r"""J(x, y) = (1 - x)² + 100 (y - x²)²: a curved valley to the minimum at (1, 1), J = 0."""

    name = "rosenbrock"
    title = "Rosenbrock"
    equation = r"\mathcal{J}(x, y) = (1 - x)^2 + 100 (y - x^2)^2"
    rate = 1e-3
    steps = 200
    window = ((-2.0, 2.0), (-1.0, 3.0))
    likelihood = SquaredError()

    def start(self, seed: int) -> np.ndarray:
        return np.array([-1.2, 1.0])

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        x, y = w
        return jnp.sqrt(2.0) * jnp.stack([1 - x, 10 * (y - x**2)])[None]
