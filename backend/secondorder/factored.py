r"""The step around a factored curvature (Martens & Grosse 2015, "M&G", §6, §7 and algorithm 2).

K-FAC and its kin differ in the matrix that turns the gradient into a proposal Δ = -Ĝ⁻¹∇J. What makes a step of it is
the same for all of them: statistics as moving averages, rescaling and momentum by the exact quadratic model,

    M(δ) = J + ∇Jᵀδ + ½ δᵀ(F + (λ + l2)I)δ,    δ = αΔ + μδ₀ at its minimum over α and μ,

λ by the Levenberg-Marquardt rule, γ by trying, the average of the iterates, and batches that grow.
"""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Optimizer, Problem, Step, knob, option, register
from secondorder.damping import LOWEST, reduction_ratio

Array = jax.Array


class State(NamedTuple):
    """What is carried from step to step."""

    statistics: Any  # moving averages that the curvature is made of
    prepared: Any  # inverses or eigenbases, refreshed every few steps
    λ: Array
    γ: Array
    δ: Array  # the last step, δ₀ of the next
    ρ: Array  # as last measured
    average: Array | None  # moving average of the iterates


class Proposal(NamedTuple):
    """A step that is about to be taken."""

    δ: Array
    α: Array
    μ: Array
    model: Array  # M(δ) - M(0)
    fault: Array  # 0, or the number of the refusal


@register
class Factored(Optimizer):
    """Base of the optimizers with a factored curvature; a subclass gives ``estimate``, ``prepare`` and ``propose``."""

    damping: float = knob(1.0, "λ", 0.0, 1e6, "damping", scale="log")
    decay: float = knob(0.95, "ε", 0.0, 0.9999, "decay of the statistics' average")
    rate: float = knob(1.0, "α", 1e-6, 100.0, "step size where it is not rescaled", scale="log")
    adapt: str = option("levenberg-marquardt", "how λ adapts", enum=["fixed", "levenberg-marquardt"])
    rescale: bool = option(True, "step size by the exact quadratic model")
    momentum: bool = option(True, "momentum by the exact quadratic model (with rescaling)")
    ratio_damped: bool = option(True, "whether ρ counts the damping as part of the model")
    statistics: str = option("sampled", "targets of the pseudo-gradients", enum=["sampled", "exact"])
    refresh: int = option(5, "T₃, steps between two inversions", minimum=1, maximum=1000)
    adapt_every: int = option(5, "T₁, steps between two changes of λ", minimum=1, maximum=1000)
    average: float = option(0.0, "ξ, decay of the iterates' average (0: none)", minimum=0.0, maximum=0.9999)
    first_batch: int = option(
        0, "m₁, examples of the first step's batch, which grows (0: off)", minimum=0, maximum=10**6
    )
    full_at: int = option(500, "the step at which the growing batch is all the data", minimum=2, maximum=100_000)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"damping": 150.0, "refresh": 20, "average": 0.99, "first_batch": 1000, "full_at": 500}
    }

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.network is None or problem.likelihood is None:
            return "needs a network made of layers, whose inputs and pre-activations can be looked at"
        return None

    def price(self, n: int) -> tuple[float, float]:
        return self._passes(1.0), 60.0 * n**1.5

    def room(self, problem: Problem) -> float:
        layers = problem.network
        assert layers is not None
        batch = problem.batch_size or problem.examples
        factors = sum(out**2 + fan_in**2 for out, fan_in in layers.shapes)
        return (
            30.0 * problem.dimension + 8.0 * factors + 8.0 * batch * sum(out + fan_in for out, fan_in in layers.shapes)
        )

    def batches(self, problem: Problem, steps: int) -> list[tuple[int, int]]:
        """m_k = min(m₁ e^((k-1)/b), N), b such that m is N at step ``full_at`` (M&G §13).

        Since every size is compiled by itself, m_k is rounded up to a few sizes, each about half as large again as the
        one before.
        """
        m, N = self.first_batch, problem.examples
        if not 0 < m < N:
            return super().batches(problem, steps)
        rungs = math.ceil(math.log(N / m) / math.log(1.5))
        sizes = [round(m * (N / m) ** (rung / rungs)) for rung in range(rungs)] + [0]
        firsts = [0] + [1 + math.floor((rung - 1) / rungs * (self.full_at - 1)) for rung in range(1, rungs + 1)]
        return [(first, size) for first, size in zip(firsts, sizes, strict=True) if first <= steps]

    def damping_now(self, state: State) -> Array:
        return state.λ

    def first_gamma(self, λ: Array, l2: Array) -> Array:
        """γ at the start."""
        return jnp.sqrt(λ + l2)

    @property
    def trial_every(self) -> int | None:
        """T₂, steps between two trials of other γs; None where γ stays."""
        return None

    # --- What a subclass says -------------------------------------------------------------------------------------

    def estimate(self, J: Objective, w: Array) -> Any:
        """This batch's statistics: a tree of arrays that averages make sense of."""
        raise NotImplementedError

    def prepare(self, J: Objective, w: Array, statistics: Any, γ: Array) -> Any:
        """What is computed from the statistics every T₃ steps only."""
        raise NotImplementedError

    def track(self, J: Objective, w: Array, prepared: Any, ε: Array) -> Any:
        """What was prepared, with the part of it that is an average of its own moved on by this batch."""
        return prepared

    def propose(self, J: Objective, prepared: Any, g: Array, λ: Array) -> tuple[Array, Array]:
        """Δ = -Ĝ⁻¹g with the damping it is to have, and the number of the refusal where it cannot be had, else 0."""
        raise NotImplementedError

    def lowest(self, prepared: Any) -> Array | float:
        """What λ does not adapt below: less would not be told from none in these digits."""
        return LOWEST

    # --- The step -------------------------------------------------------------------------------------------------

    def init(self, J: Objective, w: Array) -> State:
        statistics = self.estimate(J, w)
        λ = jnp.asarray(self.damping, w.dtype)
        l2 = jnp.max(jnp.asarray(J.problem.l2_diagonal(), w.dtype))
        γ = self.first_gamma(λ, l2).astype(w.dtype)
        prepared = jax.tree.map(jnp.zeros_like, self.prepare(J, w, statistics, γ))
        average = w if self.average else None
        zeros = jax.tree.map(jnp.zeros_like, statistics)
        return State(zeros, prepared, λ, γ, jnp.zeros_like(w), jnp.ones((), w.dtype), average)

    def step(self, J: Objective, w: Array, state: State) -> Step:
        n, λ, γ = jnp.asarray(J.k + 1), state.λ, state.γ
        J_w, g = J.value_and_gradient(w)
        ε = jnp.minimum(1 - 1 / n, self.decay).astype(w.dtype)
        statistics = jax.tree.map(lambda old, new: ε * old + (1 - ε) * new, state.statistics, self.estimate(J, w))
        model = self._model(J, w, g, λ, state.δ)

        def attempt(γ: Array) -> tuple[Any, Array, Proposal]:
            prepared = jax.lax.cond(
                is_due,
                lambda: self.prepare(J, w, statistics, γ),
                lambda: self.track(J, w, state.prepared, ε),
            )
            return prepared, γ, model(*self.propose(J, prepared, g, λ))

        is_due = (J.k % self.refresh == 0) | (n <= 3)
        if self.trial_every is None:
            prepared, γ, taken = attempt(γ)
        else:
            is_trial = n % self.trial_every == 0
            is_due = is_due | is_trial
            prepared, γ, taken = self._best(attempt, γ, is_trial)
        δ = taken.δ
        λ, ρ = self._adapted(J, w, J_w, δ, taken.model, n, state, self.lowest(prepared))
        columns = {"damping": state.λ, "alpha": taken.α, "mu": taken.μ}
        if isinstance(self, FactorDamped):
            columns["gamma"] = γ
        if self.adapt != "fixed":
            columns["rho"] = ρ
        average = None
        if state.average is not None:
            ξ = jnp.minimum(1 - 1 / n, self.average).astype(w.dtype)
            average = ξ * state.average + (1 - ξ) * (w + δ)
            columns["averaged_loss"] = J(average)
        return Step(δ, State(statistics, prepared, λ, γ, δ, ρ, average), self._passes(n), columns, taken.fault)

    def _best(self, attempt: Any, γ: Array, is_trial: Array) -> tuple[Any, Array, Proposal]:
        """What is made of γ; in a trial of γ, smaller and larger, what the model promises most of (M&G §6.6).

        One loop, of one turn where nothing is tried: every turn written out would be compiled by itself.
        """
        ω = (19 / 20) ** ((self.trial_every or 0) / 2)
        tried = jnp.where(is_trial, jnp.maximum(γ * jnp.asarray([1.0, ω, 1 / ω], γ.dtype), math.sqrt(LOWEST)), γ)

        def promised(taken: Proposal) -> Array:
            return jnp.where((taken.fault == 0) & ~jnp.isnan(taken.model), taken.model, jnp.inf)

        def turn(i, best):
            found = attempt(tried[i])
            is_better = (i == 0) | (promised(found[-1]) < promised(best[-1]))
            return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), found, best)

        none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(attempt, γ))
        return jax.lax.fori_loop(0, jnp.where(is_trial, len(tried), 1), turn, none)

    def _model(self, J: Objective, w: Array, g: Array, λ: Array, δ0: Array):
        """A proposal Δ and its fault ↦ the step that it becomes.

        With rescaling that is the quadratic model's minimizer along Δ or, with momentum, in the plane of Δ and δ₀.
        """
        image, product = self._products(J, w, λ)
        Fδ0 = image(δ0)

        def fixed(Δ: Array, fault: Array) -> Proposal:
            α, FΔ = jnp.asarray(self.rate), image(Δ)
            return Proposal(α * Δ, α, jnp.zeros_like(α), α * (g @ Δ) + α**2 * product(FΔ, FΔ) / 2, fault)

        def along(Δ: Array, fault: Array) -> Proposal:
            FΔ = image(Δ)
            α = -(g @ Δ) / product(FΔ, FΔ)
            return Proposal(α * Δ, α, jnp.zeros_like(α), α * (g @ Δ) / 2, fault)

        def in_plane(Δ: Array, fault: Array) -> Proposal:
            FΔ = image(Δ)
            a, b, c = product(FΔ, FΔ), product(FΔ, Fδ0), product(Fδ0, Fδ0)
            p, q, det = -(g @ Δ), -(g @ δ0), a * c - b * b
            independent = det > 4 * jnp.finfo(w.dtype).eps * a * c
            det = jnp.where(independent, det, 1.0)
            α = jnp.where(independent, (c * p - b * q) / det, p / a)
            μ = jnp.where(independent, (a * q - b * p) / det, 0.0)
            δ = α * Δ + μ * δ0
            return Proposal(δ, α, μ, g @ δ / 2, fault)

        return fixed if not self.rescale else in_plane if self.momentum else along

    def _products(self, J: Objective, w: Array, λ: Array):
        """``product(image(u), image(v))`` = uᵀ(F + L + λI)v, F by a Jacobian-vector product: it is never formed."""
        likelihood = J.problem.likelihood
        assert likelihood is not None
        multiply = jax.vmap(likelihood.multiply)
        z, push = jax.linearize(lambda w: J.problem.outputs(w, J.batch.inputs), w)
        damped = λ + J.problem.l2_diagonal()

        def image(v: Array) -> tuple[Array, Array]:
            return v, push(v)

        def product(one: tuple[Array, Array], other: tuple[Array, Array]) -> Array:
            (u, Ju), (v, Jv) = one, other
            return jnp.vdot(Ju, multiply(z, Jv)) / len(z) + jnp.vdot(u, damped * v)

        return image, product

    def _adapted(self, J: Objective, w: Array, J_w: Array, δ: Array, model: Array, n: Array, state: State, lowest: Any):
        """λ and ρ after this step: measured every T₁ steps (and at the first, to be shown)."""
        if self.adapt == "fixed":
            return state.λ, state.ρ
        λ = state.λ
        if not self.ratio_damped:
            model = model - λ * (δ @ δ) / 2
        is_turn = n % self.adapt_every == 0
        ρ = jax.lax.cond(
            is_turn | (n == 1), lambda: reduction_ratio(J(w + δ), J_w, model).astype(w.dtype), lambda: state.ρ
        )
        ω = (19 / 20) ** self.adapt_every
        changed = jnp.maximum(λ * jnp.where(ρ > 3 / 4, ω, jnp.where(ρ < 1 / 4, 1 / ω, 1.0)), lowest)
        return jnp.where(is_turn, changed, λ).astype(w.dtype), ρ

    def _passes(self, n: Any) -> Any:
        """Gradient and pseudo-gradient, one product for each direction of the model, and a loss every T₁ steps."""
        passes = 2.0 + (1.0 + self.momentum) * self.rescale + (self.average > 0) / 3
        return passes + (self.adapt != "fixed") / 3 * (n % self.adapt_every == 0)


@register
class FactorDamped(Factored):
    """Base of those that damp each factor, by γ in place of √(λ + l2) (M&G §6.6)."""

    gamma: float = knob(0.0, "γ", 0.0, 1e3, "factored damping at the start (0: √(λ + l2))", scale="log")
    adapt_gamma: bool = option(True, "adapt γ by trying larger and smaller values")
    gamma_every: int = option(20, "T₂, steps between two trials of other γs", minimum=1, maximum=1000)

    def first_gamma(self, λ: Array, l2: Array) -> Array:
        return jnp.where(self.gamma > 0, self.gamma, jnp.sqrt(λ + l2))

    @property
    def trial_every(self) -> int | None:
        return self.gamma_every if self.adapt_gamma else None
