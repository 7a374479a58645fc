r"""Natural gradient with a diagonal F, estimated by the pullback sampling trick (lecture)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Optimizer, Problem, Step, knob, option, register
from secondorder.curvature.pullback_diagonal import Diagonal, pullback_diagonal


class Average(NamedTuple):
    """What is carried from step to step."""

    Ĝ: jax.Array  # (D,)
    samples: jax.Array  # how many are in it
    p: jax.Array  # (D,), the step before


@register
class PullbackDiagonal(Optimizer):
    r"""p ← μp - α (diag(Ĝ) + λI)⁻¹∇J(w), w ← w + p, with Ĝ ← ηĜ + (1 - η)Dw² an average of sampled squares.

    Dw is a pseudo-gradient: targets are drawn from the model, and one more backward pass brings them to the weights;
    its covariance is G. The average reaches back over a timescale of 1/(1 - η) steps, 20 by default. Until it has seen
    as many it is the plain mean of all so far: one that began with the first sample alone would trust that one for a
    whole timescale, and where its square is small by chance the weight would fly off. With μ = 0 it is the lecture's
    method.
    """

    name = "pullback-diagonal"
    title = "Pullback diagonal"
    equation = (
        r"\hat{\mathbf{G}}_{ii} \leftarrow \eta\, \hat{\mathbf{G}}_{ii} + (1 - \eta) [\mathcal{D} w_i]^2, \quad"
        r"\delta_i = -\alpha \frac{\nabla_i \mathcal{J}(\mathbf{w})}{\hat{\mathbf{G}}_{ii} + \lambda}"
    )
    refusals = ("the damped diagonal Ĝ + λI has a zero",)

    rate: float = knob(0.03, "α", 1e-6, 100.0, "learning rate", scale="log")
    damping: float = knob(0.3, "λ", 0.0, 1e6, "damping", scale="log")
    decay: float = knob(0.95, "η", 0.0, 0.999, "decay of the average, timescale 1/(1 - η) steps")
    momentum: float = knob(0.8, "μ", 0.0, 0.999, "momentum")
    samples: int = option(1, "pseudo-gradients a step", minimum=1, maximum=1000)

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        return None if problem.predicts else "needs a model that predicts a distribution of targets, to draw them from"

    def price(self, n: int) -> tuple[float, float]:
        return 1.0 + self.samples, 20.0 * n

    def init(self, J: Objective, w: jax.Array) -> Average:
        return Average(jnp.zeros_like(w), jnp.zeros((), w.dtype), jnp.zeros_like(w))

    def step(self, J: Objective, w: jax.Array, state: Average) -> Step:
        assert J.key is not None, "sampling needs the step's key"
        η = jnp.minimum(state.samples / (state.samples + 1), self.decay)
        Ĝ = η * state.Ĝ + (1 - η) * pullback_diagonal(J, w, J.key, self.samples).diagonal
        Δ, singular = Diagonal(Ĝ, J.problem.l2_diagonal()).solve(-J.gradient(w), self.damping)
        p = self.momentum * state.p + self.rate * Δ
        columns = {"timescale": 1 / (1 - η)}
        return Step(p, Average(Ĝ, state.samples + 1, p), 1.0 + self.samples, columns, refused=singular.astype(int))
