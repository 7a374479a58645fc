r"""Adam (Kingma & Ba 2015), by optax."""

import jax
import optax

from secondorder.core import Objective, Optimizer, Step, knob, register


@register
class Adam(Optimizer):
    r"""Steps of about α in every weight: mean gradient over root mean square, both bias-corrected EMAs."""

    name = "adam"
    title = "Adam"
    equation = r"\mathbf{w} \leftarrow \mathbf{w} - \alpha\, \hat{\mathbf{m}} / (\sqrt{\hat{\mathbf{v}}} + \epsilon)"

    rate: float = knob(0.01, "α", 1e-6, 100.0, "learning rate", scale="log")
    momentum: float = knob(0.9, "β₁", 0.0, 0.999, "decay of the mean gradient")
    decay: float = knob(0.999, "β₂", 0.0, 0.99999, "decay of the mean square")

    @property
    def transform(self) -> optax.GradientTransformation:
        return optax.adam(self.rate, b1=self.momentum, b2=self.decay)

    def init(self, J: Objective, w: jax.Array) -> optax.OptState:
        return self.transform.init(w)

    def step(self, J: Objective, w: jax.Array, state: optax.OptState) -> Step:
        δ, state = self.transform.update(J.gradient(w), state, w)
        return Step(δ, state, passes=1.0)
