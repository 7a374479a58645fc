r"""Logistic regression on breast-cancer data: convex, real, and separable but for its l2 term."""

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Data, Problem, knob, option, register
from secondorder.data import HELD_OUT, breast_cancer, split
from secondorder.likelihoods import Logistic
from secondorder.network import Network

MEASURED = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
            "symmetry", "fractal dimension"]  # fmt: skip
FEATURES = [form.format(name) for form, name in product(["mean {}", "{} error", "worst {}"], MEASURED)]
EXAMPLES = 569


@register
class LogisticRegression(Problem):
    r"""J(w, b) = mean log-loss of p(benign) = σ(wᵀx + b) + l2/2 ‖w‖², on 569 tumours.

    Features are standardized by the population deviation over the training data. Weights stand in feature order, the
    intercept (which is not penalized) last.
    """

    name = "logistic-regression"
    title = "Logistic regression (breast cancer)"
    equation = (
        r"\mathcal{J}(\mathbf{w}, b) = \frac{1}{N} \sum_i \left[\log(1 + e^{z_i}) - t_i z_i\right]"
        r" + \tfrac{\ell_2}{2} \|\mathbf{w}\|^2, \quad z_i = \mathbf{w}^\top \mathbf{x}_i + b"
    )
    kind = "data"
    rate = 0.3
    likelihood = Logistic()
    predicts = True

    l2: float = knob(1e-3, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    features: tuple = option((), "features (none named: all 30)", items={"type": "string", "enum": FEATURES},
                             maxItems=30, uniqueItems=True)  # fmt: skip
    held_out: float = option(0.0, **HELD_OUT)
    dtype: str = option("float64", "precision", enum=["float64", "float32"])

    @property
    def network(self) -> Network:
        return Network(((len(self.features) or len(FEATURES)), 1))

    @property
    def dimension(self) -> int:
        return self.network.dimension

    @property
    def examples(self) -> int:
        return EXAMPLES - round(self.held_out * EXAMPLES)

    @property
    def work(self) -> float:
        return 6.0 * self.examples * self.dimension

    def data(self, seed: int) -> Data:
        x, t, names = breast_cancer()
        if self.features:
            x = x[:, [names.index(feature) for feature in self.features]]
        train, test = split(x, t[:, None], self.held_out, seed)
        mean, deviation = train.inputs.mean(axis=0), train.inputs.std(axis=0)

        def standardized(batch):
            inputs = (batch.inputs - mean) / deviation
            return batch._replace(inputs=inputs.astype(self.dtype), targets=batch.targets.astype(self.dtype))

        return Data(standardized(train), standardized(test) if test else None)

    def start(self, seed: int) -> np.ndarray:
        return np.zeros(self.dimension, self.dtype)

    def parameters(self, w: Any) -> dict[str, Any]:
        return {"weights": w[:-1], "intercept": w[-1:]}

    @property
    def weights(self) -> list[str]:
        return [*self.features, "intercept"] if self.dimension <= 3 else list(self.parameters(np.zeros(self.dimension)))

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.network.outputs(w, inputs)

    def l2_diagonal(self) -> jax.Array:
        return self.l2 * jnp.ones(self.dimension, self.dtype).at[-1].set(0.0)
