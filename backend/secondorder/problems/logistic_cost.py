r"""The lecture's cost on which undamped Newton overshoots."""

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Batch, Data, Problem, option, register
from secondorder.likelihoods import Logistic


@jax.custom_jvp
def sech2(u: jax.Array) -> jax.Array:
    """sech²(u), to full relative accuracy until it underflows (1 - tanh² is 0 from u = 19 on)."""
    e = jnp.exp(-2 * jnp.abs(u))
    return 4 * e / (1 + e) ** 2


@jax.custom_jvp
def tanh(u: jax.Array) -> jax.Array:
    return jnp.tanh(u)


@jax.custom_jvp
def log_cosh(u: jax.Array) -> jax.Array:
    """log(2 cosh u), without overflow."""
    return jnp.abs(u) + jnp.log1p(jnp.exp(-2 * jnp.abs(u)))


log_cosh.defjvp(lambda u, du: (log_cosh(*u), tanh(*u) * du[0]))
tanh.defjvp(lambda u, du: (tanh(*u), sech2(*u) * du[0]))
sech2.defjvp(lambda u, du: (sech2(*u), -2 * sech2(*u) * tanh(*u) * du[0]))


@register
class LogisticCost(Problem):
    r"""J(x) = Σ_j log(1 + e^{x_j}) + log(1 + e^{-x_j}) = Σ_j 2 log(2 cosh(x_j/2)).

    Per weight g = tanh(x/2) and H = sech²(x/2)/2, so Newton's step is x ← x - sinh x: it converges from |x| < 2.1773…
    and diverges beyond. The loss is that of a logistic model whose outputs x_j are asked for target 0 and target 1.
    """

    name = "logistic-cost"
    title = "Logistic cost"
    equation = r"\mathcal{J}(\mathbf{x}) = \sum_j \left[\log(1 + e^{x_j}) + \log(1 + e^{-x_j})\right]"
    rate = 1.0
    window = ((-4.0, 4.0), (-4.0, 4.0))
    likelihood = Logistic()
    predicts = True

    size: int = option(2, "number of weights", minimum=1, maximum=100)

    @property
    def dimension(self) -> int:
        return self.size

    def data(self, seed: int) -> Data:
        return Data(Batch(np.zeros((1, 0)), np.repeat([0.0, 1.0], self.size)[None]))

    def start(self, seed: int) -> np.ndarray:
        return np.resize([2.0, -1.0], self.size)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return jnp.concatenate([w, w])[None]

    def loss(self, w: jax.Array, batch: Batch) -> jax.Array:
        return jnp.sum(2 * log_cosh(w / 2))
