r"""Hessian-free optimization (Martens 2010): Newton's step by conjugate gradients, on products with C alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.cg import NEGATIVE, NOT_FINITE, Solution, conjugate_gradient, milestones
from secondorder.core import Objective, Optimizer, Problem, Step, knob, option, register
from secondorder.curvature.empirical_diagonal import preconditioner
from secondorder.curvature.gauss_newton import gauss_newton_products
from secondorder.curvature.hessian import hessian_products
from secondorder.damping import LOWEST, below_rounding, levenberg_marquardt, reduction_ratio

Array = jax.Array
MATRICES = {"gauss-newton": gauss_newton_products, "hessian": hessian_products}
MOST = 1000  # iterations of conjugate gradients that there is room for
PROGRESS = 5e-4  # ε: relative progress an iteration below which they stop
SHRINK, SUFFICIENT, TRIES = 0.8, 1e-2, 60  # of the line search


class State(NamedTuple):
    """What a step leaves to the next one."""

    damping: Array  # λ
    v: Array  # where conjugate gradients ended (D,)


def backtrack(J: Objective, w: Array, found: Solution, j: Array) -> tuple[Array, Array, Array]:
    """From the kept iterate j to earlier ones while the cost falls: which, J there, and how many costs that took."""

    def falling(carry):
        j, _, _, falls = carry
        return falls & (j > 0)

    def earlier(carry):
        j, J_j, evaluations, _ = carry
        J_before = J(w + found.kept[j - 1])
        falls = (J_before < J_j) | ~jnp.isfinite(J_j)
        return j - falls, jnp.where(falls, J_before, J_j), evaluations + 1, falls

    return jax.lax.while_loop(falling, earlier, (j, J(w + found.kept[j]), jnp.asarray(1), jnp.asarray(True)))[:3]


def shorten(J: Objective, w: Array, J_w: Array, slope: Array, δ: Array, J_δ: Array) -> tuple[Array, Array]:
    """The rate α = 0.8^m with J(w + αδ) ≤ J(w) + c α gᵀδ, 0 where no m ≤ 60 does; and how many costs that took."""

    def sufficient(α, J_α):
        promised = SUFFICIENT * α * jnp.minimum(slope, 0.0)
        return (J_α <= J_w + promised) | below_rounding(J_α - J_w, promised, J_w)

    def going(carry):
        α, J_α, m = carry
        return ~sufficient(α, J_α) & (m < TRIES)

    def shorter(carry):
        α, _, m = carry
        return SHRINK * α, J(w + SHRINK * α * δ), m + 1

    α, J_α, m = jax.lax.while_loop(going, shorter, (jnp.ones_like(J_w), J_δ, jnp.asarray(0)))
    return jnp.where(sufficient(α, J_α), α, 0.0), m


@register
class HessianFree(Optimizer):
    r"""δ ≈ argmin_v ½ vᵀ(C + λI)v + ∇Jᵀv by preconditioned conjugate gradients; C = G, or H, is never formed.

    They start from ζ times their last solution and stop when their progress is slow, or after K iterations. From the
    last of the iterates kept on the way the step goes back while the true cost falls, and then is shortened until the
    cost falls sufficiently; where it never does, the step is not taken. λ adapts by the Levenberg-Marquardt rule.

    All of a step looks at one batch. Where that is small, the model does well on the very examples that it was made of,
    whatever λ: it needs ``lowest_damping`` (or fixed damping) not to be fitted to each batch in turn.
    """

    name = "hessian-free"
    title = "Hessian-free"
    equation = (
        r"\boldsymbol{\delta} \approx \operatorname*{argmin}_{\mathbf{v}} \tfrac{1}{2} \mathbf{v}^\top"
        r" (\mathbf{G} + \lambda \mathbf{I}) \mathbf{v} + \nabla \mathcal{J}(\mathbf{w})^\top \mathbf{v}"
    )
    refusals = (
        "the first direction of conjugate gradients has negative curvature",
        "the first direction of conjugate gradients has no curvature: the damped matrix is singular",
        "a product with the curvature matrix is not finite",
    )

    damping: float = knob(1.0, "λ", 0.0, 1e6, "damping (at first, where it adapts)", scale="log")
    iterations: float = knob(250.0, "K", 1, MOST, "iterations of conjugate gradients at most", scale="log", whole=True)
    lowest_damping: float = knob(LOWEST, "λₘᵢₙ", LOWEST, 1e6, "damping never adapts below", scale="log")
    warm_start: float = knob(0.95, "ζ", 0.0, 1.0, "share of the last solution to start from")
    matrix: str = option("gauss-newton", "which matrix", enum=list(MATRICES))
    adapt: str = option("levenberg-marquardt", "how damping adapts", enum=["fixed", "levenberg-marquardt"])
    damping_in_rho: bool = option(False, "count the damping term in the model that ρ measures")
    precondition: bool = option(True, "precondition conjugate gradients")
    stop: bool = option(True, "stop conjugate gradients when their progress is slow (else after K iterations)")
    backtrack: bool = option(True, "go back to an earlier iterate where the cost is lower there")
    line_search: bool = option(True, "shorten the step until the cost falls sufficiently")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None:
            return "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        return None

    def price(self, n: int) -> tuple[float, float]:
        return 10.0 + self.iterations, 30.0 * self.iterations * n

    def room(self, problem: Problem) -> float:
        units = problem.output_size
        if problem.network is not None:
            units = sum(out for out, _ in problem.network.shapes)
        batch = problem.batch_size or problem.examples
        return (30.0 + len(milestones(MOST))) * problem.dimension + 6.0 * batch * units

    def init(self, J: Objective, w: Array) -> State:
        return State(jnp.asarray(self.damping, w.dtype), jnp.zeros_like(w))

    def damping_now(self, state: State) -> Array:
        return state.damping

    def step(self, J: Objective, w: Array, state: State) -> Step:
        λ = state.damping
        J_w, g = J.value_and_gradient(w)
        C = MATRICES[self.matrix](J, w)
        M = preconditioner(J, w, λ) if self.precondition else jnp.ones_like(w)
        found = conjugate_gradient(
            lambda v: C.multiply(v) + λ * v,
            g,
            start=self.warm_start * state.v,
            iterations=self.iterations,
            room=MOST,
            precondition=lambda r: r / M,
            progress=PROGRESS if self.stop else 0.0,
        )
        # Negative curvature later on only ends the iteration; in the first direction it leaves nothing to go by.
        lost, finite = (found.iterations == 0) & (found.status >= NEGATIVE), jnp.isfinite(g @ g)
        j = jnp.sum(found.kept_at >= 0) - 1
        j, J_δ, evaluations = backtrack(J, w, found, j) if self.backtrack else (j, J(w + found.kept[j]), 1)
        δ, at = found.kept[j], found.kept_at[j]

        promised = found.trace.quadratic[at] - (0.0 if self.damping_in_rho else λ * δ @ δ / 2)  # M(δ) - M(0)
        ρ = jnp.where(lost, -jnp.inf, reduction_ratio(J_δ, J_w, promised))
        α, shortenings = shorten(J, w, J_w, g @ δ, δ, J_δ) if self.line_search else (1.0, 0)
        α = jnp.where(finite, jnp.where(lost, 0.0, α), jnp.nan)  # a gradient that is not finite leads nowhere

        columns = {
            "cg_iterations": found.iterations,
            "kept_iteration": at,
            "line_search_rate": α,
            "rho": jnp.where(jnp.isfinite(ρ), ρ, (J_δ - J_w) / promised),  # the rule takes a rise for -∞
            "negative_curvature": found.status == NEGATIVE,
        }
        refused = jnp.where(lost & finite, found.status - NEGATIVE + 1, 0)
        if self.adapt == "levenberg-marquardt":
            columns["damping"] = λ
            λ = jnp.maximum(levenberg_marquardt(λ, ρ), self.lowest_damping)
            refused = jnp.where(found.status == NOT_FINITE, refused, 0)  # more damping mends the others
        passes = 1.0 + self.precondition + found.products + (evaluations + shortenings) / 3
        columns = {name: jnp.asarray(value, w.dtype) for name, value in columns.items()}
        return Step(α * δ, State(λ, found.v), passes, columns, refused)
