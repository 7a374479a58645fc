r"""L-BFGS with a zoom line search (Nocedal & Wright 2006, algorithms 7.4 and 3.5), by optax."""

import jax
import optax

from secondorder.core import Objective, Optimizer, Problem, Step, option, register


@register
class LBFGS(Optimizer):
    r"""δ = -αB∇J, B the inverse-Hessian estimate of the last ``memory`` steps and gradient changes."""

    name = "lbfgs"
    title = "L-BFGS"
    equation = (
        r"\mathbf{w} \leftarrow \mathbf{w} - \alpha \mathbf{B} \nabla \mathcal{J}(\mathbf{w}), \quad"
        r"\mathbf{B} \approx \mathbf{H}^{-1}"
    )

    memory: int = option(10, "steps remembered", minimum=1, maximum=100)

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.batch_size:
            return "its line search needs the cost to stay the same from step to step: set batch to 0 (all examples)"
        return None

    def price(self, n: int) -> tuple[float, float]:
        return 3.0, 40.0 * self.memory * n

    @property
    def transform(self) -> optax.GradientTransformationExtraArgs:
        return optax.lbfgs(memory_size=self.memory)

    def init(self, J: Objective, w: jax.Array) -> optax.OptState:
        return self.transform.init(w)

    def step(self, J: Objective, w: jax.Array, state: optax.OptState) -> Step:
        value, g = J.value_and_gradient(w)
        δ, state = self.transform.update(g, state, w, value=value, grad=g, value_fn=J)
        search = state[-1].info  # type: ignore[index]  # optax types its states as anything
        return Step(δ, state, passes=1.0 + search.num_linesearch_steps)
