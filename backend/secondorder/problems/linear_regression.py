r"""Linear regression on diabetes data: the one problem on which H, G and F are one constant matrix."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Batch, Data, Problem, knob, option, register
from secondorder.data import HELD_OUT, diabetes, split
from secondorder.likelihoods import SquaredError
from secondorder.network import Network

FEATURES = ["age", "sex", "body mass index", "blood pressure", "total cholesterol", "low-density lipoproteins",
            "high-density lipoproteins", "cholesterol ratio", "log triglycerides", "blood sugar"]  # fmt: skip
EXAMPLES = 442


@register
class LinearRegression(Problem):
    r"""J(w, b) = mean ½(wᵀx + b - t)² + l2/2 ‖w‖², t the disease's progression in 442 patients; H = G = F = E[x̄x̄ᵀ].

    Features and target are standardized by the population deviation over the training data; then every feature is
    moved to the mean ``shift``, since measurements are not centred by nature. With one feature
    F = [[1 + shift², shift], [shift, 1]]. Weights stand in feature order, the intercept (not penalized) last.

    ``noise`` makes the training targets t + noise · N(0, 1), from the seed; held-out targets stay as they are.
    Ill-conditioned directions then hold mostly noise: with all 10 features, shift 0, held_out 0.8 and noise 1 gradient
    descent stopped after 10 steps of rate 0.1 has a lower held-out loss than the minimum of the cost, which is Newton's
    first step, with each of the seeds 0 to 19 (median 0.296 against 0.374); without noise with 10 of them (both 0.286).
    """

    name = "linear-regression"
    title = "Linear regression (diabetes)"
    equation = (
        r"\mathcal{J}(\mathbf{w}, b) = \frac{1}{N} \sum_i \tfrac{1}{2} (\mathbf{w}^\top \mathbf{x}_i + b - t_i)^2"
        r" + \tfrac{\ell_2}{2} \|\mathbf{w}\|^2"
    )
    kind = "data"
    rate = 0.1
    window = ((-2.0, 2.0), (-2.0, 2.0))
    defaults = {"pullback-diagonal": {"rate": 0.1}}
    likelihood = SquaredError()
    predicts = True

    l2: float = knob(0.0, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    features: tuple = option(("body mass index",), "features (none named: all 10)",
                             items={"type": "string", "enum": FEATURES}, maxItems=10, uniqueItems=True)  # fmt: skip
    shift: float = option(1.0, "mean of each feature, in its deviations (0: centred)", minimum=0.0, maximum=3.0)
    held_out: float = option(0.0, **HELD_OUT)
    noise: float = option(0.0, "noise in the training targets, in their deviations", minimum=0.0, maximum=10.0)
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
        x, t = diabetes()
        if self.features:
            x = x[:, [FEATURES.index(feature) for feature in self.features]]
        train, test = split(x, t[:, None], self.held_out, seed)
        (mean, t_mean), (deviation, t_deviation) = ([a.mean(axis=0) for a in train], [a.std(axis=0) for a in train])

        def standardized(batch):
            inputs = (batch.inputs - mean) / deviation + self.shift
            return batch._replace(inputs=inputs, targets=(batch.targets - t_mean) / t_deviation)

        def cast(batch):
            return Batch(*(part.astype(self.dtype) for part in batch))

        train = standardized(train)
        noise = np.random.default_rng([seed, 3]).standard_normal(train.targets.shape)
        noisy = train._replace(targets=train.targets + self.noise * noise)
        return Data(cast(noisy), cast(standardized(test)) if test else None)

    def start(self, seed: int) -> np.ndarray:
        # Of two weights a start from which the way is worth looking at: across the valley, and then along it.
        return np.array([-1.5, 1.0] if self.dimension == 2 else [0.0] * self.dimension, self.dtype)

    def parameters(self, w: Any) -> dict[str, Any]:
        return {"weights": w[:-1], "intercept": w[-1:]}

    @property
    def weights(self) -> list[str]:
        return [*self.features, "intercept"] if self.dimension <= 3 else list(self.parameters(np.zeros(self.dimension)))

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.network.outputs(w, inputs)

    def l2_diagonal(self) -> jax.Array:
        return self.l2 * jnp.ones(self.dimension, self.dtype).at[-1].set(0.0)
