r"""The lecture's examples of proximal updates: a regression network before and after it is fitted to a few points."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Point, Probe, Problem, knob, register
from secondorder.solve import solve_positive

Array = jax.Array

POINTS = 3  # that the batch has room for: how many there are is a knob
GRID = 241  # inputs at which functions are told
TOLD = 400  # examples of the data, at most
AWAY = 0.4  # from every point of the batch: where a change of the function is forgetting
LEAST = 1e-6  # λ_WSD where there is no term for it: with fewer outputs than weights there would be no single minimum
MOST = 120  # iterations, those included whose step was not taken
BEND = 0.375  # of a step's length, at most its second-order part: ‖a‖ ≤ 0.375 ‖p‖
STOP = 1e-9  # size of Q's gradient, relative to the first, at which they end
UPDATES = ("loss + WSD", "loss + FSD", "loss + WSD + FSD")
KINDS = ("exact", "quadratic")


class Residuals(NamedTuple):
    """Q(δ) = ½‖r(δ)‖² + λ_WSD/2 ‖δ‖², r the residuals on the batch and the changes at the distance's inputs, weighted.

    Where Q is quadratic r is linear: that is the loss with G for its Hessian, and the distance ½ δᵀGδ.
    """

    problem: Problem
    w: Array  # (D,)
    x: Array  # inputs of the batch, then those of the distance (m, 1)
    aim: Array  # what outputs are compared with: targets, and the outputs now (m,)
    scale: Array  # √(1/B) on the batch, √(λ_FSD/N) elsewhere (m,)

    def f(self, δ: Array) -> Array:
        return self.problem.outputs(self.w + δ, self.x)[:, 0]

    def __call__(self, δ: Array) -> Array:
        return self.scale * (self.f(δ) - self.aim)

    def kernel(self, δ: Array) -> Array:
        """RRᵀ (m, m), R = dr/dδ: layer by layer (āᵢᵀāⱼ)(DsᵢᵀDsⱼ), so that R (m, D) is never written out."""
        network = self.problem.network
        assert network is not None, "fits networks alone"
        offsets = [jnp.zeros((len(self.x), out), δ.dtype) for out, _ in network.shapes]
        z, pull_back, inputs = jax.vjp(lambda s: network.record(self.w + δ, self.x, s), offsets, has_aux=True)
        Ds = pull_back(jnp.ones_like(z))[0]
        K = sum((1 + a @ a.T) * (d @ d.T) for a, d in zip(inputs, Ds, strict=True))
        return self.scale[:, None] * K * self.scale

    def products(self, δ: Array) -> tuple[Array, Any, Any]:
        """r at δ, v ↦ Rv, and y ↦ Rᵀy."""
        value, push = jax.linearize(self, δ)
        pull = jax.linear_transpose(push, δ)
        return value, push, lambda y: pull(y)[0]


class Minimum(NamedTuple):
    """Where an update ends, and how nearly."""

    δ: Array  # (D,)
    gradient_norm: Array  # ‖∇Q(δ)‖
    iterations: Array


def minimize_quadratic(r: Residuals, wsd: Array) -> Array:
    """The minimum of Q with r linearized at δ = 0: -(RᵀR + λ_WSD I)⁻¹Rᵀr = -Rᵀ(RRᵀ + λ_WSD I)⁻¹r, R = dr/dδ."""
    none = jnp.zeros_like(r.w)
    value, _, pull = r.products(none)
    return -pull(solve_positive(r.kernel(none) + wsd * jnp.eye(len(value), dtype=value.dtype), value)[0])


def minimize(r: Residuals, wsd: Array) -> Minimum:
    """Q's minimum by Levenberg-Marquardt with geodesic acceleration from δ = 0 (Transtrum & Sethna 2012).

    A step is p + a/2: (RᵀR + sI)p = -(Rᵀr + λ_WSD δ), s = λ_WSD + μ, and (RᵀR + sI)a = -Rᵀr'' with r'' the second
    derivative of r along p, which keeps it in a curved valley. With p = Rᵀy - (λ_WSD/s)δ these are systems of m
    equations: (RRᵀ + sI)y = (λ_WSD/s)Rδ - r, and a = -Rᵀ(RRᵀ + sI)⁻¹r''. It is taken where Q falls and a is short.
    """

    def value(δ):
        return r(δ) @ r(δ) / 2 + wsd * δ @ δ / 2

    def gradient_norm(δ):
        return jnp.linalg.norm(jax.grad(value)(δ))

    none = jnp.zeros_like(r.w)
    enough = STOP * gradient_norm(none)

    def going(carry):
        k, _, _, _, size = carry
        return (k < MOST) & (size > enough)

    def improve(carry):
        k, δ, Q, μ, size = carry
        s, (here, push, pull) = wsd + μ, r.products(δ)
        K = r.kernel(δ) + s * jnp.eye(len(here), dtype=here.dtype)
        p = pull(solve_positive(K, wsd / s * push(δ) - here)[0]) - wsd / s * δ
        bend = jax.jvp(lambda δ: jax.jvp(r, (δ,), (p,))[1], (δ,), (p,))[1]
        a = -pull(solve_positive(K, bend)[0])
        there = δ + p + a / 2
        Q_there = value(there)
        falls = (Q_there <= Q * (1 + 4 * jnp.finfo(Q.dtype).eps)) & (jnp.linalg.norm(a) <= BEND * jnp.linalg.norm(p))
        δ = jnp.where(falls, there, δ)
        # Small enough, it is none: then the step is Gauss-Newton's own.
        μ = jnp.where(falls, jnp.where(μ < 1e-8, 0.0, μ / 3), jnp.maximum(3 * μ, 1e-3))
        return k + 1, δ, jnp.where(falls, Q_there, Q), μ, jnp.where(falls, gradient_norm(δ), size)

    begin = (jnp.asarray(0), none, value(none), jnp.zeros_like(wsd), gradient_norm(none))
    k, δ, _, _, size = jax.lax.while_loop(going, improve, begin)
    return Minimum(δ, size, k)


@register
class ProximalFit(Probe):
    r"""The network after one update for a batch of up to three points (x, t), under loss + WSD, loss + FSD, and both.

    Each update minimizes loss + λ_FSD E_x ½(f(x, w + δ) - f(x, w))² + λ_WSD/2 ‖δ‖²: ``exact``, by 120 iterations of
    Levenberg-Marquardt at most, which where λ_FSD is large end before the minimum, in a narrow curved valley; or
    ``quadratic``, both terms to second order with the Gauss-Newton matrix, in closed form. The distance is taken on
    every second input of the data. Without WSD there is no single minimum, so λ_WSD is 1e-6 there.

    Of each, ``curve`` is f(x, w + δ) at ``x``; ``loss`` that on the batch; ``distance`` the mean of ½(f - f_k)² at the
    distance's inputs; ``forgotten`` the root mean square change of f at the data's inputs more than 0.4 from every
    point of the batch (null: there are none); ``step_norm`` is ‖δ‖; ``held_out`` the loss on the other half of the
    data, at which no update looks; ``gradient_norm`` that of the exact objective where it ended, 0 at its minimum.
    """

    name = "proximal-fit"
    title = "Proximal updates of a fit"
    equation = (
        r"\min_{\boldsymbol{\delta}} \mathcal{J}_{\mathcal{B}}(\mathbf{w} + \boldsymbol{\delta})"
        r" + \tfrac{\lambda_\text{FSD}}{2} \mathbb{E}_x[(f(x, \mathbf{w} + \boldsymbol{\delta}) - f(x, \mathbf{w}))^2]"
        r" + \tfrac{\lambda_\text{WSD}}{2} \|\boldsymbol{\delta}\|^2"
    )

    fsd: float = knob(1.0, "λ_FSD", 1e-4, 1e4, "weight of the function-space distance", scale="log")
    wsd: float = knob(0.01, "λ_WSD", LEAST, 1e2, "weight of the weight-space distance", scale="log")
    points: float = knob(1.0, "B", 1, POINTS, "points in the batch", whole=True)
    x1: float = knob(0.5, "x₁", -3.0, 3.0, "input of point 1")
    t1: float = knob(-1.0, "t₁", -4.0, 4.0, "target of point 1")
    x2: float = knob(-1.2, "x₂", -3.0, 3.0, "input of point 2")
    t2: float = knob(1.0, "t₂", -4.0, 4.0, "target of point 2")
    x3: float = knob(1.6, "x₃", -3.0, 3.0, "input of point 3")
    t3: float = knob(2.0, "t₃", -4.0, 4.0, "target of point 3")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.network is None or problem.network.shapes[0][1] != 2 or problem.network.shapes[-1][0] != 1:
            return "is drawn for a network from one input to one output"
        if len(problem.network.shapes) < 2:
            return "is about a function that is not linear in its weights"
        return None

    def price(self, problem: Problem) -> float:
        m, n = POINTS + problem.examples / 2, problem.dimension
        return 12.0 * (problem.work + 2 * m * m * n + m**3)

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w, problem = point.w, J.problem
        x_data, t_data = jnp.asarray(J.batch.inputs), jnp.asarray(J.batch.targets)
        near, apart = slice(0, None, 2), slice(1, None, 2)
        x_batch = jnp.stack([self.x1, self.x2, self.x3])[:, None]
        t_batch = jnp.stack([self.t1, self.t2, self.t3])
        here = jnp.arange(POINTS) < self.points

        def f(w, x):
            return problem.outputs(w, x)[:, 0]

        def half_square(change, weight):
            return jnp.sum(weight * change**2) / (2 * jnp.sum(weight))

        x = jnp.concatenate([x_batch, x_data[near]])
        aim = jnp.concatenate([t_batch, f(w, x_data[near])])
        number = len(x_data[near])
        far = jnp.all((jnp.abs(x_data - x_batch.T) > AWAY) | ~here, axis=1)
        low, high = jnp.min(x_data), jnp.max(x_data)
        grid = low + (high - low) * jnp.linspace(-0.1, 1.1, GRID)[:, None]

        def told(δ):
            change = f(w + δ, x_data) - f(w, x_data)
            return {
                "curve": f(w + δ, grid),
                "loss": half_square(f(w + δ, x_batch) - t_batch, here),
                "distance": half_square(change[near], jnp.ones(number)),
                "forgotten": jnp.sqrt(2 * half_square(change, far)),
                "step_norm": jnp.linalg.norm(δ),
                "held_out": half_square(f(w + δ, x_data[apart]) - t_data[apart, 0], jnp.ones(len(x_data[apart]))),
            }

        found: dict[str, Any] = {"x": grid[:, 0], "data": jnp.concatenate([x_data, t_data], axis=1)[:TOLD]}
        found |= {f"before {name}": value for name, value in told(jnp.zeros_like(w)).items()}
        for update in UPDATES:
            λ = self.fsd if "FSD" in update else 0.0
            wsd = jnp.asarray(self.wsd if "WSD" in update else LEAST, w.dtype)
            on_batch = here / jnp.sum(here)
            scale = jnp.sqrt(jnp.concatenate([on_batch, jnp.full(number, λ / number)])).astype(w.dtype)
            rows = slice(None) if "FSD" in update else slice(0, POINTS)
            r = Residuals(problem, w, x[rows], aim[rows], scale[rows])
            exact, δ = minimize(r, wsd), minimize_quadratic(r, wsd)
            found |= {f"{update} exact {name}": value for name, value in told(exact.δ).items()}
            found |= {f"{update} quadratic {name}": value for name, value in told(δ).items()}
            found[f"{update} exact gradient_norm"] = exact.gradient_norm
            found[f"{update} exact iterations"] = exact.iterations
        return found

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        def part(stem: str) -> dict[str, Any]:
            return {name.removeprefix(stem): value for name, value in found.items() if name.startswith(stem)}

        batch = [[self.x1, self.t1], [self.x2, self.t2], [self.x3, self.t3]][: int(self.points)]
        return {
            "fsd": float(self.fsd),
            "wsd": float(self.wsd),
            "least_wsd": LEAST,
            "batch": np.asarray(batch),
            "data": found["data"],
            "x": found["x"],
            "before": part("before "),
            "updates": [{"name": name, **{kind: part(f"{name} {kind} ") for kind in KINDS}} for name in UPDATES],
        }
