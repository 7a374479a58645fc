r"""A softmax network on handwritten digits, with mini-batches or all the data at once."""

import jax
import numpy as np

from secondorder.core import Data, Problem, knob, option, register
from secondorder.data import HELD_OUT, digits, split
from secondorder.likelihoods import Softmax
from secondorder.network import Network

EXAMPLES = 1797


@register
class DigitsClassifier(Problem):
    r"""J(w) = mean cross-entropy of a tanh network's softmax on 1797 images 8x8 (scikit-learn's digits) + l2/2 ‖w‖²."""

    name = "digits-classifier"
    title = "Digits classifier"
    equation = (
        r"\mathcal{J}(\mathbf{w}) = \frac{1}{N} \sum_i"
        r" \left[\log \textstyle\sum_k e^{z_{ik}} - z_{i t_i}\right], \quad \mathbf{z}_i = f(\mathbf{x}_i, \mathbf{w})"
    )
    kind = "network"
    rate = 0.1
    steps = 100
    defaults = {
        "damped-newton": {"damping": 1.0},  # H has eigenvalues below -0.1 at the start
        "hessian-free": {"lowest_damping": 0.03},  # or the steps are fitted to their batches: see the optimizer
    }
    likelihood = Softmax()
    predicts = True

    l2: float = knob(0.0, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    widths: tuple = option((64, 32, 10), "layer widths, from 64 pixels to 10 classes",
                           items={"type": "integer", "minimum": 1, "maximum": 512}, minItems=2, maxItems=9)  # fmt: skip
    batch: int = option(128, "examples a step (0: all)", minimum=0, maximum=EXAMPLES)
    held_out: float = option(0.0, **HELD_OUT)
    dtype: str = option("float32", "precision", enum=["float32", "float64"])

    def __post_init__(self):
        if self.widths[0] != 64 or self.widths[-1] != 10:
            raise ValueError("widths must begin with 64 (pixels) and end with 10 (classes)")

    @property
    def network(self) -> Network:
        return Network(self.widths)

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
        return self.widths[-1]

    @property
    def work(self) -> float:
        return self.network.work(self.examples, self.dtype)

    def data(self, seed: int) -> Data:
        x, t = digits()
        return split(x.astype(self.dtype), t, self.held_out, seed)

    def start(self, seed: int) -> np.ndarray:
        return self.network.initial(seed, self.dtype)

    def parameters(self, w):
        return self.network.parameters(w)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.network.outputs(w, inputs)

    def l2_diagonal(self):
        return self.l2
