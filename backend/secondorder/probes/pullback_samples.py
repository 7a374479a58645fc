r"""Where pseudo-gradients come from, and how their covariance becomes F: the lecture's two panels on sampling."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Batch, Objective, Point, Probe, Problem, knob, register
from secondorder.curvature.empirical_fisher import empirical_fisher
from secondorder.curvature.fisher import fisher
from secondorder.pullback import pseudo_gradients
from secondorder.solve import eigenvalues

Array = jax.Array

MOST = 10_000  # samples: all are drawn and S of them used, so that S is a knob and every S begins with the same ones
TOLD = 400  # of them
INPUTS = 3  # looked at one by one
TARGETS = 8  # drawn for each of those
REACH = 3.2  # of the window, in F's largest standard deviation
ANGLES, RADII, PROFILE = 120, 9, 201  # where level sets are looked for


@register
class PullbackSamples(Probe):
    r"""Targets drawn from a linear model of two weights, their gradients g = ∇_w log r(t|x), and F as g's covariance.

    Of some x by themselves, ``inputs``, all ``gradients`` lie along one ``direction``. For the first, a typical one,
    ``surprise`` tells how much less likely its target is with the weights w + δ: log r(t|x, w) - log r(t|x, w + δ),
    which depends on δ's component in that direction alone, given ``along``.

    Of all x together ``divergence`` is the mean surprise over x and t, E KL(r(·|x, w) ‖ r(·|x, w + δ)), with a row for
    each direction of δ, evenly about a circle, and its lengths ``radius``; ``gradients`` are the first of S samples,
    each with an x of its own.
    ``covariance`` is the mean of g gᵀ over the samples, ``average`` the one with decay η, which is the plain mean until
    1/(1 - η) samples are in it. Their ``error`` is the distance from ``fisher`` in Frobenius norm relative to F's, and
    ``expected`` its root mean square √(Σ m_s² (E‖g‖⁴ - ‖F‖²))/‖F‖ for a mean with weights m_s: it falls as 1/√S. The
    ``empirical_fisher`` has the data's targets in place of the model's, and comes no closer with more samples.
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
        if problem.network is None or not problem.predicts:
            return "needs a model that predicts targets for inputs, to draw both"
        if problem.network.shapes != [(1, 2)]:
            return f"is drawn for a linear model of two weights; this problem has {problem.dimension}"
        return None

    def price(self, problem: Problem) -> float:
        return (ANGLES * RADII + 3 * MOST / problem.examples) * problem.work

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        assert J.key is not None, "sampling needs a key"
        w, (for_x, for_t, for_inputs) = point.w, jax.random.split(J.key, 3)
        F, E = fisher(J, w).matrix, empirical_fisher(J, w).matrix
        reach = REACH * jnp.sqrt(eigenvalues(F)[-1])
        reach = jnp.where(reach > 0, reach, 1)
        along, radius = 1.5 * reach * jnp.linspace(-1, 1, PROFILE), reach * jnp.linspace(0, 1, RADII)

        g = -pseudo_gradients(_at(J, jax.random.randint(for_x, (MOST,), 0, len(J.batch.inputs))), w, for_t)
        square = jnp.linalg.norm(F) ** 2
        spread = jnp.mean(jnp.sum(g**2, axis=1) ** 2) - square
        s = jnp.arange(MOST)
        # The average with sample s in it keeps η of the one before, at first as a plain mean does; after S it stays.
        η = jnp.where(s < self.samples, jnp.minimum(s / (s + 1), self.decay), 1.0)
        kept = jnp.append(jnp.cumprod(η[:0:-1])[::-1], 1.0)  # of sample s by those after it
        means = {"covariance": (s < self.samples) / self.samples, "average": (1 - η) * kept}
        estimates = {name: (g.T * m) @ g for name, m in means.items()}

        chosen = _spread_out(J, w)
        x, t = _at(J, chosen).batch
        of_inputs = jax.vmap(lambda x, t, key: _of_input(J, w, x, t, along, key))
        angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
        rays = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None]
        return {
            "at": w,
            "along": along,
            "radius": radius,
            "fisher": F,
            "empirical_fisher": E,
            **estimates,
            "errors": jnp.stack([jnp.linalg.norm(C - F) for C in [*estimates.values(), E]]) / jnp.linalg.norm(F),
            "expected": jnp.sqrt(spread * jnp.stack([jnp.sum(m**2) for m in means.values()]) / square),
            "divergence": jax.lax.map(jax.vmap(lambda δ: _divergence(J, w, δ)), rays),
            "gradients": g[:TOLD],
            "chosen": chosen,
            "inputs": x,
            **of_inputs(x, t, jax.random.split(for_inputs, len(chosen))),
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        S = int(self.samples)
        parts = ("chosen", "inputs", "direction", "pulls", "surprise")
        names = ("example", "input", "direction", "gradients", "surprise")
        return {
            **{name: found[name] for name in ("at", "along", "radius", "divergence", "fisher", "empirical_fisher")},
            "inputs": [
                dict(zip(names, one, strict=True)) for one in zip(*(found[part] for part in parts), strict=True)
            ],
            "gradients": found["gradients"][:S],
            "samples": S,
            "timescale": 1 / (1 - float(self.decay)),
            "covariance": found["covariance"],
            "average": found["average"],
            "error": dict(zip(("covariance", "average", "empirical_fisher"), found["errors"], strict=True)),
            "expected": dict(zip(("covariance", "average"), found["expected"], strict=True)),
        }


def _at(J: Objective, chosen: Array) -> Objective:
    """J on the examples of some numbers, as often as they are named."""
    x, t = (jnp.asarray(part)[chosen] for part in J.batch)
    return Objective(J.problem, Batch(x, t), J.k, J.key)


def _spread_out(J: Objective, w: Array) -> Array:
    """The numbers of some examples, at quantiles of the angle in which their gradients point."""
    slopes = jax.jacrev(lambda w: J.problem.outputs(w, J.batch.inputs)[:, 0])(w)
    order = jnp.argsort(jnp.arctan2(slopes[:, 1], slopes[:, 0]))
    return order[np.round(np.linspace(0.1, 0.9, min(INPUTS, len(order))) * (len(order) - 1)).astype(int)]


def _of_input(J: Objective, w: Array, x: Array, t: Array, along: Array, key: Array) -> dict[str, Array]:
    """Of one input: what targets drawn for it pull at the weights, and the surprise of the one drawn most nearly as
    far from its expectation as they are on average."""
    likelihood = J.problem.likelihood
    assert likelihood is not None
    z, pull_back = jax.vjp(lambda w: J.problem.outputs(w, x[None])[0], w)
    z_each = jnp.tile(z, (TARGETS, 1))
    Dz = likelihood.sample(likelihood.noise(key, z_each.shape, z_each.dtype), z_each)
    typical = jnp.sum(likelihood.root(z) ** 2)  # E‖Dz‖²
    Dz = Dz[jnp.argsort(jnp.abs(jnp.sum(Dz**2, axis=1) - typical))]
    slope = pull_back(jnp.ones_like(z))[0]
    direction = slope / jnp.linalg.norm(slope)
    surprise = jax.vmap(lambda s: _surprise(J, w, x, t, Dz[0], s * direction))(along)
    return {"direction": direction, "pulls": -jax.vmap(pull_back)(Dz)[0], "surprise": surprise}


def _surprise(J: Objective, w: Array, x: Array, t: Array, Dz: Array | float, δ: Array) -> Array:
    """log r(t'|x, w) - log r(t'|x, w + δ) of the target t' with ∂/∂z = Dz, given any target t.

    The likelihoods are exponential families with the outputs as natural parameters: the log-likelihoods of two targets
    differ by a linear function of z, which Dz knows.
    """
    likelihood = J.problem.likelihood
    assert likelihood is not None
    z, away = J.problem.outputs(w, x[None])[0], J.problem.outputs(w + δ, x[None])[0]
    L, slope = jax.value_and_grad(likelihood.loss)(z, t)
    return likelihood.loss(away, t) - L + jnp.sum((Dz - slope) * (away - z))


def _divergence(J: Objective, w: Array, δ: Array) -> Array:
    """E_x KL(r(·|x, w) ‖ r(·|x, w + δ)): the mean surprise over targets from the model, whose Dz is 0 on average."""
    return jnp.mean(jax.vmap(lambda x, t: _surprise(J, w, x, t, 0.0, δ))(*J.batch))
