r"""Where pseudo-gradients come from, and how their covariance becomes F: the lecture's two panels on sampling."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Batch, Objective, Point, Probe, Problem, knob, register
from secondorder.curvature.empirical_fisher import empirical_fisher
from secondorder.curvature.fisher import fisher
from secondorder.pullback import pseudo_gradients, sample_outputs
from secondorder.solve import eigenvalues

Array = jax.Array

MOST = 10_000  # samples: all are drawn, S of them are used, so that S is a knob and every S begins with the same ones
TOLD = 400  # of them
INPUTS = 3  # looked at one by one
TARGETS = 8  # drawn for each of those
GRID = 33  # points along each axis of a contour plot, to be seen and not reckoned with: they are told as float32
REACH = 3.2  # of the window, in F's largest standard deviation


@register
class PullbackSamples(Probe):
    r"""Targets drawn from the model, their gradients ∇_w log r(t|x), and F as the covariance of those, of two weights.

    First ``inputs``, some one by one: ``inputs`` x, ``gradients`` for several targets, and for the first of those
    targets the ``surprise``: how much less likely it is with the weights w + δ. Then all together: ``divergence`` is
    the mean surprise over x and t, E KL(r(·|x, w) ‖ r(·|x, w + δ)), both on a grid with δ's coordinates ``axis`` along
    both weights; ``gradients`` are the first of S samples, each with an x of its own.

    ``covariance`` is the mean of g gᵀ over the S samples and ``average`` the one with decay η, the plain mean until
    1/(1 - η) samples are in it. ``error`` is their distance from ``fisher`` in Frobenius norm relative to F's, and
    ``expected`` its root mean square, √(Σ m_s² (E‖g‖⁴ - ‖F‖²))/‖F‖ for a mean with weights m_s: as 1/√S. The
    ``empirical_fisher`` has the data's targets in place of the model's and comes no closer with more samples.
    """

    name = "pullback-samples"
    title = "Pullback samples"
    equation = (
        r"\mathbf{F} = \mathbb{E}_{\mathbf{x} \sim p_\text{data},\, \mathbf{t} \sim r(\cdot | \mathbf{x})}"
        r"[\mathcal{D}\mathbf{w}\, \mathcal{D}\mathbf{w}^\top]"
    )

    samples: float = knob(100.0, "S", 1, MOST, "samples", scale="log", whole=True)
    decay: float = knob(0.95, "η", 0.0, 0.999, "decay of the average, timescale 1/(1 - η) samples")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.kind == "toy" or not problem.predicts:
            return "needs a model that predicts targets for inputs, to draw both"
        if problem.dimension != 2:
            return f"is drawn in the plane of two weights; this problem has {problem.dimension}"
        return None

    def price(self, problem: Problem) -> float:
        return (GRID**2 + 3 * MOST / problem.examples) * problem.work

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        assert J.key is not None, "sampling needs a key"
        w, (for_x, for_t, for_inputs) = point.w, jax.random.split(J.key, 3)
        F, E = fisher(J, w).matrix, empirical_fisher(J, w).matrix
        reach = REACH * jnp.sqrt(eigenvalues(F)[-1])
        axis = jnp.linspace(-1, 1, GRID, dtype=w.dtype) * jnp.where(reach > 0, reach, 1)

        g = -pseudo_gradients(_at(J, jax.random.randint(for_x, (MOST,), 0, len(J.batch.inputs))), w, for_t)
        square = jnp.linalg.norm(F) ** 2
        spread = jnp.mean(jnp.sum(g**2, axis=1) ** 2) - square
        s = jnp.arange(MOST)
        # Of the step that sample s makes, η as an average has it that is a plain mean first; those after S leave it be.
        η = jnp.where(s < self.samples, jnp.minimum(s / (s + 1), self.decay), 1.0)
        left = jnp.append(jnp.cumprod(η[:0:-1])[::-1], 1.0)  # of sample s by those after it
        means = {"covariance": (s < self.samples) / self.samples, "average": (1 - η) * left}
        estimates = {name: (g.T * m) @ g for name, m in means.items()}

        chosen = _spread_out(J, w)
        looked_at = _at(J, jnp.repeat(chosen, TARGETS))
        Dz = sample_outputs(J, J.problem.outputs(w, looked_at.batch.inputs), for_inputs)
        return {
            "at": w,
            "axis": axis,
            "fisher": F,
            "empirical_fisher": E,
            **estimates,
            "errors": jnp.stack([jnp.linalg.norm(C - F) for C in [*estimates.values(), E]]) / jnp.linalg.norm(F),
            "expected": jnp.sqrt(spread * jnp.stack([jnp.sum(m**2) for m in means.values()]) / square),
            "gradients": g[:TOLD],
            "divergence": jnp.mean(_surprises(J, w, axis, jnp.zeros(1)), axis=0).astype(jnp.float32),
            "chosen": chosen,
            "inputs": jnp.asarray(J.batch.inputs)[chosen],
            "gradients_of_inputs": -pseudo_gradients(looked_at, w, for_inputs).reshape(-1, TARGETS, 2),
            "surprises": _surprises(_at(J, chosen), w, axis, Dz[::TARGETS]).astype(jnp.float32),
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        S = int(self.samples)
        names = ("example", "input", "gradients", "surprise")
        inputs = [found[name] for name in ("chosen", "inputs", "gradients_of_inputs", "surprises")]
        return {
            "at": found["at"],
            "samples": S,
            "timescale": 1 / (1 - float(self.decay)),
            **{name: found[name] for name in ("fisher", "empirical_fisher", "covariance", "average")},
            "error": dict(zip(("covariance", "average", "empirical_fisher"), found["errors"], strict=True)),
            "expected": dict(zip(("covariance", "average"), found["expected"], strict=True)),
            "axis": found["axis"],
            "divergence": found["divergence"],
            "gradients": found["gradients"][:S],
            "inputs": [dict(zip(names, one, strict=True)) for one in zip(*inputs, strict=True)],
        }


def _at(J: Objective, chosen: Array) -> Objective:
    """J on the examples of some numbers, as often as they are named."""
    x, t = (jnp.asarray(part)[chosen] for part in J.batch)
    return Objective(J.problem, Batch(x, t), J.k, J.key)


def _spread_out(J: Objective, w: Array) -> Array:
    """The numbers of examples whose outputs' gradients differ in direction as examples do: quantiles of their angle."""
    slopes = jax.jacrev(lambda w: J.problem.outputs(w, J.batch.inputs)[:, 0])(w)
    order = jnp.argsort(jnp.arctan2(slopes[:, 1], slopes[:, 0]))
    shown = min(INPUTS, len(order))
    return order[np.round(np.linspace(0.1, 0.9, shown) * (len(order) - 1)).astype(int)]


def _surprises(J: Objective, w: Array, axis: Array, Dz: Array) -> Array:
    """log r(t|x, w) - log r(t|x, w + δ) of each example's t with ∂/∂z = Dz, over the grid of δ: (B, GRID, GRID).

    The likelihoods are exponential families with the outputs as natural parameters, so that this is
    KL(r(·|z) ‖ r(·|z')) + Dzᵀ(z' - z); and the divergence is the same whatever t it is reckoned from: the data's.
    """
    problem, likelihood, (x, t) = J.problem, J.problem.likelihood, J.batch
    assert likelihood is not None
    loss = jax.vmap(likelihood.loss)
    z = problem.outputs(w, x)
    L, slope = loss(z, t), jax.vmap(jax.grad(likelihood.loss))(z, t)

    def at(δ):
        away = problem.outputs(w + δ, x)
        return loss(away, t) - L + jnp.sum((Dz - slope) * (away - z), axis=1)

    grid = jnp.stack(jnp.meshgrid(axis, axis), axis=-1)  # [i, j] is (axis[j], axis[i])
    return jax.vmap(at)(grid.reshape(-1, 2)).T.reshape(-1, GRID, GRID)
