r"""Beale's function: a flat valley with walls that rise steeply (Beale 1958)."""

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Problem, register
from secondorder.likelihoods import SquaredError


@register
class Beale(Problem):
    r"""J(x, y) = (1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)², minimum 0 at (3, ½)."""

    name = "beale"
    title = "Beale"
    equation = r"\mathcal{J}(x, y) = (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2"
    rate = 0.005
    steps = 200
    window = ((-0.5, 4.5), (-1.5, 1.5))
    likelihood = SquaredError()

    def start(self, seed: int) -> np.ndarray:
        return np.array([1.5, 0.2])

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        x, y = w
        return jnp.sqrt(2.0) * jnp.stack([1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3])[None]
