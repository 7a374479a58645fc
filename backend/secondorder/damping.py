r"""How the damping η in δ = -(C + ηI)⁻¹g is chosen: fixed, or adapted by the Levenberg-Marquardt rule.

Every optimizer with a knob ``damping`` mixes in `Damped`, which brings the knob, the option ``adapt`` and the rule.
"""

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Optimizer, Problem, Step, knob, option, register

LOWEST = 1e-12  # η never adapts below this


def reduction_ratio(J_new: jax.Array, J_old: jax.Array, model: jax.Array) -> jax.Array:
    """ρ = (J(w + δ) - J(w)) / (M(δ) - M(0)): what came over what the quadratic model promised.

    -∞ where the cost rose or the model promised no descent, so that such a step is always refused; 1 where both are
    below the rounding of J, since there the cost cannot tell a good step (Conn, Gould & Toint 2000, §17.4.2).
    """
    change = J_new - J_old
    hidden = below_rounding(change, model, J_old)
    return jnp.where(hidden, 1.0, jnp.where((change < 0) & (model < 0), change / model, -jnp.inf))


def below_rounding(change: jax.Array, promised: jax.Array, J: jax.Array) -> jax.Array:
    """Whether a change of the cost, and the change that was promised, are both lost in the rounding of J."""
    noise = 10 * jnp.finfo(J.dtype).eps * jnp.abs(J)
    return (jnp.abs(change) <= noise) & (jnp.abs(promised) <= noise)


def levenberg_marquardt(η: jax.Array, ρ: jax.Array) -> jax.Array:
    """η·2/3 where the model did well (ρ > 3/4), η·3/2 where it did badly (ρ < 1/4), every step (Martens 2010, §4.1)."""
    return jnp.maximum(η * jnp.where(ρ > 3 / 4, 2 / 3, jnp.where(ρ < 1 / 4, 3 / 2, 1.0)), LOWEST)


@register
class Damped(Optimizer):
    """Base of the optimizers with a dense damped step.

    With ``adapt`` "levenberg-marquardt", ``damping`` is η's first value and a step with ρ ≤ 0 is not taken. The model
    in ρ is M(δ) = gᵀδ + ½ δᵀCδ, without the damping term.
    """

    damping: float = knob(0.1, "η", 0.0, 1e6, "damping", scale="log")
    adapt: str = option("fixed", "how damping adapts", enum=["fixed", "levenberg-marquardt"])

    largest = 3000  # weights: a dense factorization beyond takes seconds a step

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.dimension > cls.largest:
            return f"forms a dense matrix, at most {cls.largest} weights; this problem has {problem.dimension}"
        return None

    def price(self, n: int) -> tuple[float, float]:
        return 1.0 + n + (self.adapt != "fixed") / 3, 1.0 * n**3

    def room(self, problem: Problem) -> float:
        # A few matrices, and the Jacobian's rows: two for each output where the Fisher matrix takes them so.
        n, rows = problem.dimension, 2 * problem.output_size * (problem.batch_size or problem.examples)
        return 4.0 * n**2 + 2.0 * rows * n

    def init(self, J: Objective, w: jax.Array):
        return jnp.asarray(self.damping, w.dtype)

    def damping_now(self, state: jax.Array) -> jax.Array:
        return state

    def direction(self, J: Objective, w: jax.Array, g: jax.Array, η: jax.Array):
        """The damped step δ, the function v -> Cv of the model, and whether C + ηI is singular."""
        raise NotImplementedError

    def step(self, J: Objective, w: jax.Array, state: jax.Array) -> Step:
        η = state
        J_w, g = J.value_and_gradient(w)
        δ, multiply, singular = self.direction(J, w, g, η)
        passes = 1.0 + w.shape[0]
        if self.adapt == "fixed":
            return Step(δ, η, passes, refused=singular.astype(int))
        ρ = reduction_ratio(J(w + δ), J_w, g @ δ + δ @ multiply(δ) / 2)
        ρ = jnp.where(singular, -jnp.inf, ρ)
        δ = jnp.where(ρ > 0, δ, 0.0)
        return Step(δ, levenberg_marquardt(η, ρ), passes + 1 / 3, {"damping": η, "rho": ρ})
