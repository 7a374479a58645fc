r"""Proximal updates (lecture, interpretation 4): each trades the batch's loss for change of function and of weights."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from secondorder.cg import NEGATIVE, NOT_FINITE, MatrixFree, conjugate_gradient
from secondorder.core import Batch, Objective, Optimizer, OptionError, Problem, Step, knob, option, register
from secondorder.damping import below_rounding
from secondorder.proximal import DISTANCES, LOSSES, MATRICES, ProximalObjective, proximal_objective
from secondorder.solve import solve_positive

Array = jax.Array
MOST = 1000  # iterations of conjugate gradients that there is room for
SUFFICIENT, HALVINGS = 1e-4, 40  # of the line search
NO_MINIMUM = 1  # of the refusals


class Solved(NamedTuple):
    """A solver's answer."""

    δ: Array
    passes: Array | float
    columns: dict[str, Any] = {}
    refused: Array | int = 0


@register
class Proximal(Optimizer):
    r"""δ = argmin loss + λ_FSD E_x ρ(f(x, w + δ), f(x, w)) + λ_WSD/2 ‖δ‖², ρ = ½‖z - z_k‖² or KL(r(·|z_k) ‖ r(·|z)).

    With a linear loss and no distance it is gradient descent with α = 1/λ_WSD; with a linear loss and a quadratic
    distance, natural gradient damped by λ_WSD/λ_FSD and scaled by 1/λ_FSD; with a quadratic loss and no distance,
    Newton or Gauss-Newton damped by λ_WSD; with an exact loss, no distance and λ_WSD = 0, the solver ``gradient`` takes
    K plain gradient steps on one batch.

    The distance is taken on the batch; on the batch of the step before (in the first step, on some examples of the
    data), which keeps what was learned from that; or on all the data's inputs, beside which the loss's batch is drawn
    anew for each step. On the batch it costs no passes of its own where the loss is of its kind.

    The solver ``closed`` writes the matrix out, where nothing is exact. ``cg`` makes at most K iterations of conjugate
    gradients. Where a term is exact it does so R times at most, each time at the weights reached and with the step
    halved until Q falls: line-search Newton-CG (Nocedal & Wright 2006, algorithm 7.1), with the Gauss-Newton matrix of
    Q or its Hessian. ``gradient`` takes K steps of size 1/((1 + λ_FSD)/α + λ_WSD): where α suits the loss alone, of
    curvature up to 1/α, that suits Q; with neither distance it is α.
    """

    name = "proximal"
    title = "Proximal updates"
    equation = (
        r"\mathbf{w} \leftarrow \operatorname*{argmin}_{\mathbf{u}} \mathcal{J}_{\mathcal{B}}(\mathbf{u})"
        r" + \lambda_\text{FSD}\, \mathbb{E}_{\mathbf{x}}[\rho(f(\mathbf{x}, \mathbf{u}), f(\mathbf{x}, \mathbf{w}))]"
        r" + \tfrac{\lambda_\text{WSD}}{2} \|\mathbf{u} - \mathbf{w}\|^2"
    )
    refusals = ("the quadratic proximal objective has no minimum: its matrix is not positive definite",)

    fsd: float = knob(1.0, "λ_FSD", 0.0, 1e6, "weight of the function-space distance", scale="log")
    wsd: float = knob(0.01, "λ_WSD", 0.0, 1e6, "weight of the weight-space distance", scale="log")
    iterations: float = knob(20.0, "K", 1, MOST, "iterations (of cg, or gradient steps)", scale="log", whole=True)
    rounds: float = knob(3.0, "R", 1, 100, "Newton steps of cg, where a term is exact", scale="log", whole=True)
    rate: float = knob(None, "α", 1e-6, 100.0, "learning rate on the loss alone (of gradient)", scale="log")
    loss: str = option("exact", "loss term", enum=list(LOSSES))
    matrix: str = option("gauss-newton", "which matrix", enum=list(MATRICES))
    distance: str = option("exact", "function-space distance", enum=list(DISTANCES))
    distance_on: str = option("batch", "inputs of the distance", enum=["batch", "previous", "data"])
    solver: str = option("cg", "how it is solved", enum=["closed", "cg", "gradient"])

    def __post_init__(self):
        if self.solver == "closed" and self._exact:
            raise OptionError(
                "the closed form needs a loss and a distance that are at most quadratic", "solver", ["cg", "gradient"]
            )

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None:
            return "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        return None

    @property
    def _exact(self) -> bool:
        return "exact" in (self.loss, self.distance)

    def price(self, n: int) -> tuple[float, float]:
        rounds = self.rounds if self._exact and self.solver == "cg" else 1.0
        products, flops = self.iterations * rounds, 30.0 * self.iterations * rounds * n
        if self.solver == "closed":
            products, flops = n, 1.0 * n**3
        # All the data are some batches.
        return (1.0 + 2.0 * products) * (10.0 if self.distance_on == "data" else 1.0), flops

    def room(self, problem: Problem) -> float:
        n, units = problem.dimension, problem.output_size
        if problem.network is not None:
            units = sum(out for out, _ in problem.network.shapes)
        batch = problem.examples if self.distance_on == "data" else problem.batch_size or problem.examples
        return (4.0 * n if self.solver == "closed" else 60.0) * n + 12.0 * batch * units

    def batches(self, problem: Problem, steps: int) -> list[tuple[int, int]]:
        return [(0, 0)] if self.distance_on == "data" else super().batches(problem, steps)

    def init(self, J: Objective, w: Array) -> Any:
        return jnp.asarray(J.batch.inputs) if self.distance_on == "previous" else ()

    def step(self, J: Objective, w: Array, state: Any) -> Step:
        inputs, share = None, 1.0
        if self.distance_on == "previous":
            inputs, state = state, jnp.asarray(J.batch.inputs)
        elif self.distance_on == "data" and J.problem.batch_size:
            inputs = J.batch.inputs
            J, share = _drawn(J), J.problem.batch_size / len(inputs)
        Q = proximal_objective(
            J, w, loss=self.loss, distance=self.distance, matrix=self.matrix, fsd=self.fsd, wsd=self.wsd, inputs=inputs
        )
        solve = {"closed": self._closed, "cg": self._cg, "gradient": self._gradient}[self.solver]
        found = solve(Q)
        columns = {name: jnp.asarray(value, w.dtype) for name, value in found.columns.items()}
        return Step(found.δ, state, share * found.passes, columns, found.refused)

    def _closed(self, Q: ProximalObjective) -> Solved:
        g = Q.first
        if self.loss == "linear" and self.distance == "none":
            return Solved(-g / self.wsd, Q.costs.start, refused=NO_MINIMUM * (self.wsd == 0))
        A = MatrixFree(Q.curvature(0 * g), g).matrix
        δ, indefinite = solve_positive(A, -g)
        return Solved(δ, Q.costs.start + len(g) * Q.costs.gradient, refused=NO_MINIMUM * indefinite)

    def _cg(self, Q: ProximalObjective) -> Solved:
        if not Q.is_quadratic:
            return self._newton_cg(Q)
        g = Q.first
        eps = float(jnp.finfo(g.dtype).eps)
        found = conjugate_gradient(Q.curvature(0 * g), g, room=MOST, iterations=self.iterations, tolerance=eps)
        # Negative curvature later on only ends the iteration; in the first direction it leaves nothing to go by.
        lost = (found.iterations == 0) & (found.status >= NEGATIVE) & (found.status < NOT_FINITE)
        δ = jnp.where(found.status == NOT_FINITE, jnp.nan, found.v)
        passes = Q.costs.start + found.products * Q.costs.gradient
        return Solved(δ, passes, {"cg_iterations": found.iterations}, NO_MINIMUM * lost)

    def _newton_cg(self, Q: ProximalObjective) -> Solved:
        first = jnp.linalg.norm(Q.first)
        enough = 10 * jnp.finfo(first.dtype).eps * first

        def going(carry):
            j, _, _, g, _, _, falls = carry
            return (j < self.rounds) & (jnp.linalg.norm(g) > enough) & falls

        def improve(carry):
            j, δ, Q_δ, g, iterations, passes, _ = carry
            # Inexact at first, superlinear in the end (Nocedal & Wright 2006, §7.1).
            tolerance: Any = jnp.minimum(0.5, jnp.sqrt(jnp.linalg.norm(g) / first))
            found = conjugate_gradient(Q.curvature(δ), g, room=MOST, iterations=self.iterations, tolerance=tolerance)
            v = jnp.where(found.iterations > 0, found.v, -g)
            t, Q_δ, tries = _shorten(Q, δ, Q_δ, v, g @ v)
            δ = δ + t * v
            spent = (found.products + 1) * Q.costs.gradient + tries * Q.costs.value
            return j + 1, δ, Q_δ, Q.gradient(δ), iterations + found.iterations, passes + spent, t > 0

        none = jnp.asarray(0)
        begin = (none, 0 * Q.first, Q.value(0 * Q.first), Q.first, none, Q.costs.start + 0 * first, none == 0)
        j, δ, _, _, iterations, passes, _ = jax.lax.while_loop(going, improve, begin)
        δ = jnp.where(jnp.isfinite(first), δ, jnp.nan)  # a gradient that is not finite leads nowhere
        return Solved(δ, passes, {"cg_iterations": iterations, "newton_steps": j})

    def _gradient(self, Q: ProximalObjective) -> Solved:
        distance = 0.0 if self.distance == "none" else self.fsd
        α = 1 / ((1 + distance) / self.rate + self.wsd)

        def descend(_, δ):
            return δ - α * Q.gradient(δ)

        δ = jax.lax.fori_loop(1, jnp.asarray(self.iterations, int), descend, -α * Q.first)
        return Solved(δ, Q.costs.start + (self.iterations - 1) * Q.costs.gradient)


def _drawn(J: Objective) -> Objective:
    """J on a batch of the problem's size, drawn from J's own without replacement."""
    assert J.key is not None, "drawing a batch needs the step's key"
    chosen = jax.random.choice(J.key, len(J.batch.inputs), (J.problem.batch_size,), replace=False)
    batch = Batch(*(jnp.asarray(part)[chosen] for part in J.batch))
    return dataclasses.replace(J, batch=batch, noise=None)


def _shorten(Q: ProximalObjective, δ: Array, Q_δ: Array, v: Array, slope: Array) -> tuple[Array, Array, Array]:
    """t = 2^-m with Q(δ + tv) ≤ Q(δ) + c t ∇Qᵀv, 0 where no m does; Q there, and how many values that took."""

    def sufficient(t, value):
        promised = SUFFICIENT * t * slope
        return (value <= Q_δ + promised) | below_rounding(value - Q_δ, promised, Q_δ)

    def going(carry):
        t, value, m = carry
        return ~sufficient(t, value) & (m <= HALVINGS)

    def shorter(carry):
        t, _, m = carry
        return t / 2, Q.value(δ + t / 2 * v), m + 1

    whole = jnp.ones_like(Q_δ)
    t, value, tries = jax.lax.while_loop(going, shorter, (whole, Q.value(δ + v), jnp.asarray(1)))
    falls = sufficient(t, value)
    return jnp.where(falls, t, 0.0), jnp.where(falls, value, Q_δ), tries
