r"""Autoencoders of handwritten digits: the benchmark on which Hessian-free optimization and K-FAC made their names."""

import jax
import numpy as np

from secondorder.core import Data, Problem, knob, option, register
from secondorder.data import HELD_OUT, digits, split
from secondorder.likelihoods import Logistic
from secondorder.network import INITIAL, Network

EXAMPLES = 1797
PIXELS = 64
WIDTHS = {"small": (64, 32, 16, 32, 64), "deep": (64, 128, 64, 32, 8, 32, 64, 128, 64)}


@register
class DigitsAutoencoder(Problem):
    r"""J(w) = mean over images of Σ_pixels [log(1 + e^z) - tz] + l2/2 ‖w‖²: a tanh network learns to copy its input.

    Images are scikit-learn's 1797 digits, pixels/16; the code in the middle is a linear layer, the outputs are logits.
    No loss can be under the data's own entropy, 13.658.
    """

    name = "digits-autoencoder"
    title = "Digits autoencoder"
    equation = (
        r"\mathcal{J}(\mathbf{w}) = \frac{1}{N} \sum_i \sum_k \left[\log(1 + e^{z_{ik}}) - x_{ik} z_{ik}\right]"
        r" + \tfrac{\ell_2}{2} \|\mathbf{w}\|^2, \quad \mathbf{z}_i = f(\mathbf{x}_i, \mathbf{w})"
    )
    kind = "network"
    rate = 0.02
    steps = 250
    likelihood = Logistic()
    predicts = True

    l2: float = knob(1e-5, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    size: str = option("small", "64-32-16-32-64, or 64-128-64-32-8-32-64-128-64", enum=list(WIDTHS))
    widths: tuple | None = option(None, "layer widths in place of a size's; the narrowest, the code, is linear",
                                  items={"type": "integer", "minimum": 1, "maximum": 512},
                                  minItems=3, maxItems=13)  # fmt: skip
    initial: str = option("normal", **INITIAL)
    batch: int = option(0, "examples a step (0: all)", minimum=0, maximum=EXAMPLES)
    held_out: float = option(0.0, **HELD_OUT)
    dtype: str = option("float32", "precision", enum=["float32", "float64"])

    def __post_init__(self):
        if self.widths and (self.widths[0] != PIXELS or self.widths[-1] != PIXELS):
            raise ValueError(f"widths must begin and end with {PIXELS} (pixels)")

    @property
    def network(self) -> Network:
        widths = self.widths or WIDTHS[self.size]
        return Network(widths, linear=(widths.index(min(widths)),))

    @property
    def dimension(self) -> int:
        return self.network.dimension

    @property
    def examples(self) -> int:
        return EXAMPLES - round(self.held_out * EXAMPLES)

    @property
    def batch_size(self) -> int:
        return self.batch if self.batch < self.examples else 0

    @property
    def output_size(self) -> int:
        return PIXELS

    @property
    def work(self) -> float:
        return self.network.work(self.examples, self.dtype)

    def data(self, seed: int) -> Data:
        pixels = digits()[0].astype(self.dtype)
        return split(pixels, pixels, self.held_out, seed)

    def start(self, seed: int) -> np.ndarray:
        return self.network.initial(seed, self.dtype, self.initial)

    def parameters(self, w):
        return self.network.parameters(w)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.network.outputs(w, inputs)

    def l2_diagonal(self):
        return self.l2
