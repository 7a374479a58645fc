r"""Gradient descent in better coordinates (lecture, interpretation 2): what preconditioning does."""

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Optimizer, Problem, Step, knob, option, register
from secondorder.preconditioning import FACTORS, INDEFINITE, MATRICES, coordinates


@register
class PreconditionedGradient(Optimizer):
    r"""w̃ ← w̃ - α∇J̃(w̃) in the coordinates w = Rw̃ + b, RRᵀ = (C + ηI)⁻¹; in w that is w ← w - αRRᵀ∇J(w).

    C is measured where the run starts, and anew every ``refresh`` steps. "diagonal" is G's, which unlike H's is never
    negative. With C = I and η = 0 this is gradient descent; with α = 1 and C measured at every step it is (damped)
    Newton, Gauss-Newton or natural gradient. The step in w depends on RRᵀ alone, so either ``factor``, Cholesky's or
    the symmetric square root, takes the same path: their coordinates differ by a rotation.
    """

    name = "preconditioned-gradient"
    title = "Preconditioned gradient"
    equation = (
        r"\tilde{\mathbf{w}} \leftarrow \tilde{\mathbf{w}} - \alpha \nabla \tilde{\mathcal{J}}(\tilde{\mathbf{w}}),"
        r"\quad \mathbf{w} = \mathbf{R} \tilde{\mathbf{w}} + \mathbf{b},"
        r"\quad \mathbf{R} \mathbf{R}^\top = (\mathbf{C} + \eta \mathbf{I})^{-1}"
    )
    refusals = (INDEFINITE,)

    rate: float = knob(1.0, "α", 1e-6, 100.0, "learning rate", scale="log")
    damping: float = knob(0.1, "η", 0.0, 1e6, "damping", scale="log")
    matrix: str = option("gauss-newton", "the matrix C", enum=list(MATRICES))
    refresh: int = option(1, "steps until C is measured anew (0: never)", minimum=0, maximum=100_000)
    factor: str = option("cholesky", "how (C + ηI)⁻¹ is written as RRᵀ", enum=list(FACTORS))

    largest = 3000  # weights: a dense factorization beyond takes seconds

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None:
            return "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        if problem.dimension > cls.largest:
            return f"forms a dense matrix, at most {cls.largest} weights; this problem has {problem.dimension}"
        return None

    def price(self, n: int) -> tuple[float, float]:
        # Of a matrix that is kept the steps in between are cheaper: this is the price of the dearest.
        return 1.0 + (0 if self.matrix == "identity" else n), 1.0 * n**3 + 4.0 * n**2

    def room(self, problem: Problem) -> float:
        # A few matrices, and the Jacobian's rows: two for each output where the Fisher matrix takes them so.
        n, rows = problem.dimension, 2 * problem.output_size * (problem.batch_size or problem.examples)
        return 4.0 * n**2 + 2.0 * rows * n

    def init(self, J: Objective, w: jax.Array) -> jax.Array:
        return jnp.zeros((w.shape[0], w.shape[0]), w.dtype)

    def step(self, J: Objective, w: jax.Array, state: jax.Array) -> Step:
        due = J.k % self.refresh == 0 if self.refresh else J.k == 0
        R, indefinite = jax.lax.cond(
            due,
            lambda: coordinates(J, w, self.matrix, self.factor, jnp.asarray(self.damping, w.dtype)),
            lambda: (state, jnp.zeros((), bool)),
        )
        δ_tilde = -self.rate * (R.T @ J.gradient(w))
        # A written-out matrix counts a product a weight, the diagonal a backward pass an output.
        measured = {"identity": 0, "diagonal": J.problem.output_size}.get(self.matrix, w.shape[0])
        return Step(R @ δ_tilde, R, 1.0 + jnp.where(due, measured, 0), refused=indefinite.astype(int))
