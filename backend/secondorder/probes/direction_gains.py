r"""What Newton's step gains along each eigenvector of the Hessian, in training and on held-out data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Point, Probe, Problem, knob, register
from secondorder.curvature.hessian import hessian

LARGEST = 1000  # weights: above, an exact spectrum takes seconds
TOGETHER = 32  # directions whose outputs are held at once


@register
class DirectionGains(Probe):
    r"""Along each eigenvector q_j of H, stiff to flat: the step s_j q_j, s_j = -g_j/(ν_j + η), and what it changes.

    ``eigenvalues`` ν_j are those of the training cost's H, descending, ``gradient`` is g_j = q_jᵀg and ``steps`` s_j,
    all (D,). ``train`` is J(w + s_j q_j) - J(w), ``held_out`` the same of the held-out loss (which has no l2 term),
    both exactly evaluated; ``predicted`` is g_j s_j + ½ ν_j s_j², what the quadratic model says of training: at η = 0
    that is -½ g_j²/ν_j. Negative is a gain. ``whole`` tells both changes for all the steps at once: on a quadratic the
    training changes add up to it, the held-out ones do not, since other examples have other eigenvectors. Where
    ν_j + η is 0 to rounding there is no step: null. ``loss`` and ``held_out_loss`` are those at w.

    Noise in the targets moves the minimum most where the cost is flat: least squares' error along q_j has the variance
    σ²/(N ν_j). So flat directions gain least in training and may lose most on other examples. Gradient descent that is
    stopped early, and damping by its factor ν_j/(ν_j + η), leave them out.
    """

    name = "direction-gains"
    title = "Gains by direction"
    equation = (
        r"\mathcal{J}(\mathbf{w} + s_j \mathbf{q}_j) - \mathcal{J}(\mathbf{w}), \quad"
        r" s_j = -\frac{\mathbf{q}_j^\top \nabla \mathcal{J}(\mathbf{w})}{\nu_j + \eta}"
    )

    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own, or none)", scale="log")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.dimension > LARGEST:
            return f"takes the whole spectrum, at most {LARGEST} weights; this problem has {problem.dimension}"
        if not getattr(problem, "held_out", 0.0):
            return "compares training with held-out data: set held_out, where the problem has it, above 0"
        return None

    def price(self, problem: Problem) -> float:
        n = problem.dimension
        held_out = getattr(problem, "held_out", 0.0)  # as a share of all examples, the others being trained on
        return n * problem.work * (1 + 1 / (1 - held_out)) + 15 * n**3

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w, test = point.w, point.held_out
        assert test is not None, "fits where there are held-out data"
        η = jnp.where(jnp.isnan(point.damping), 0.0, point.damping).astype(w.dtype)
        ν, Q = hessian(J, w).spectrum()
        ν, Q = ν[::-1], Q[:, ::-1]
        g = Q.T @ J.gradient(w)
        rounding = w.shape[0] * jnp.finfo(w.dtype).eps * jnp.max(jnp.abs(ν))
        s = jnp.where(jnp.abs(ν + η) > rounding, -g / (ν + η), jnp.nan)

        def losses(w):
            return jnp.stack([J(w), J.problem.loss(w, test)])

        here = losses(w)
        changes = jax.lax.map(lambda step: losses(w + step[0] * step[1]) - here, (s, Q.T), batch_size=TOGETHER)
        δ = Q @ jnp.where(jnp.isnan(s), 0.0, s)
        return {
            "damping": η,
            "loss": here[0],
            "held_out_loss": here[1],
            "eigenvalues": ν,
            "gradient": g,
            "steps": s,
            "train": changes[:, 0],
            "held_out": changes[:, 1],
            "predicted": g * s + ν * s**2 / 2,
            "whole": losses(w + δ) - here,
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        train, held_out = (float(change) if np.isfinite(change) else None for change in found["whole"])
        return found | {"whole": {"train": train, "held_out": held_out}}
