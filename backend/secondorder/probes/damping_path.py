r"""Where the damped step leads for every damping: from the Newton step to the gradient's direction."""

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Plane, Point, Probe, Problem, knob, option, register
from secondorder.curvature.hessian import hessian

LARGEST = 1000  # weights
SHOWN = 8  # branches: those next to the main one, of which a network's indefinite Hessian has hundreds


@register
class DampingPath(Probe):
    r"""The points w - (H + ηI)⁻¹g for η from 0 to ∞; in H's eigenbasis step_j = -g_j / (ν_j + η).

    Where H is indefinite the path has poles, one at η = -ν_j for each negative ν_j. The branch with η > -ν_min, on
    which the step descends, is ``main``; the others lie between the poles. ``newton`` is the point for η = 0 and
    ``point`` the one for the damping in use.
    """

    name = "damping-path"
    title = "Damping path"
    equation = r"\eta \mapsto \mathbf{w} - (\mathbf{H} + \eta \mathbf{I})^{-1} \nabla \mathcal{J}(\mathbf{w})"
    in_a_plane = True

    resolution: int = option(120, "points on each branch", minimum=8, maximum=1000)
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own)", scale="log")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.dimension < 2:
            return "needs two weights to draw"
        if problem.dimension > LARGEST:
            return f"takes the whole spectrum, at most {LARGEST} weights; this problem has {problem.dimension}"
        return None

    def price(self, problem: Problem) -> float:
        n = problem.dimension
        return n * problem.work + 15 * n**3

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w, plane = point.w, Plane(*point.plane)
        ν, Q = hessian(J, w).spectrum()
        return {
            "at": plane.project(w),
            "eigenvalues": ν,
            "gradient": Q.T @ J.gradient(w),
            "axes": jnp.asarray(plane.axes, w.dtype) @ Q,
            "damping": point.damping,
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        at, ν, g, axes, η = (np.asarray(found[k], float) for k in ("at", "eigenvalues", "gradient", "axes", "damping"))

        def points(damping):
            with np.errstate(divide="ignore", invalid="ignore"):
                return at - (g / (ν + np.asarray(damping)[..., None])) @ axes.T

        poles = np.unique(-ν[ν < 0])
        branches = [self._beyond(poles[-1] if len(poles) else 0.0, ν)]
        edges = np.concatenate([[0.0], poles])
        for low, high in list(pairwise(edges))[::-1][: SHOWN - 1]:
            branches.append(self._between(low, high))
        return {
            "at": at,
            "newton": point if np.all(np.isfinite(point := points(0.0))) else None,
            "poles": poles,
            "branches": [
                {"eta": etas, "points": points(etas), "main": number == 0} for number, etas in enumerate(branches)
            ],
            "damping": float(η) if np.isfinite(η) else None,
            "point": points(η) if np.isfinite(η) else None,
        }

    def _beyond(self, pole: float, ν: np.ndarray) -> np.ndarray:
        """Dampings above a pole (or from 0), close to it and far from every |ν|."""
        sizes = np.abs(ν[ν != 0])
        low, high = (sizes.min(), sizes.max()) if len(sizes) else (1.0, 1.0)
        grid = pole + np.geomspace(1e-3 * max(low, 1e-9 * high), 1e3 * high, self.resolution)
        return grid if pole else np.concatenate([[0.0], grid])

    def _between(self, low: float, high: float) -> np.ndarray:
        """Dampings between two poles (or from 0 itself to the first), denser towards each."""
        s = 1 / (1 + np.exp(-np.linspace(-7, 7, self.resolution)))
        etas = low + (high - low) * s
        return np.concatenate([[0.0], etas]) if low == 0 else etas
