r"""A small network fitted to a noisy curve: all of its curvature can be looked at."""

import jax
import numpy as np

from secondorder.core import Data, Problem, knob, option, register
from secondorder.data import HELD_OUT, split
from secondorder.likelihoods import SquaredError
from secondorder.network import Network


@register
class RegressionNetwork(Problem):
    r"""J(w) = mean ½(f(x, w) - t)², f a 1-16-16-1 tanh network of 321 weights.

    t = sin 3x + x/2 + 0.1 noise, with x uniform in [-2, 2] and the noise standard normal, both from the seed.
    """

    name = "regression-network"
    title = "Regression network"
    equation = r"\mathcal{J}(\mathbf{w}) = \frac{1}{N} \sum_i \tfrac{1}{2} (f(x_i, \mathbf{w}) - t_i)^2"
    kind = "network"
    rate = 0.05
    steps = 100
    defaults = {"damped-newton": {"damping": 1.0}}  # H has eigenvalues below -0.1 at the start
    likelihood = SquaredError()
    predicts = True

    l2: float = knob(0.0, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    size: int = option(100, "number of examples", minimum=2, maximum=10_000)
    held_out: float = option(0.0, **HELD_OUT)
    dtype: str = option("float64", "precision", enum=["float64", "float32"])

    @property
    def network(self) -> Network:
        return Network((1, 16, 16, 1))

    @property
    def dimension(self) -> int:
        return self.network.dimension

    @property
    def examples(self) -> int:
        return self.size - round(self.held_out * self.size)

    @property
    def work(self) -> float:
        return 6.0 * self.examples * self.dimension

    def data(self, seed: int) -> Data:
        rng = np.random.default_rng([seed, 0])
        x = np.sort(rng.uniform(-2, 2, (self.size, 1)), axis=0)
        t = np.sin(3 * x) + x / 2 + 0.1 * rng.standard_normal(x.shape)
        return split(x.astype(self.dtype), t.astype(self.dtype), self.held_out, seed)

    def start(self, seed: int) -> np.ndarray:
        return self.network.initial(seed, self.dtype)

    def parameters(self, w):
        return self.network.parameters(w)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.network.outputs(w, inputs)

    def l2_diagonal(self):
        return self.l2
