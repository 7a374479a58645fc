r"""The quadratic model at an iterate: what Newton's method minimizes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Plane, Point, Probe, Problem, register
from secondorder.curvature.hessian import hessian
from secondorder.solve import eigenvalues, solve

LARGEST = 1000  # weights whose whole Hessian's spectrum is taken


@register
class QuadraticModel(Probe):
    r"""J_quad(w + d) = J + gᵀd + ½ dᵀHd: J, and g and H in the plane it is drawn in, with the minimizer there.

    ``minimizer`` is null where H (in the plane) is not positive definite: the model is unbounded below, or flat.
    ``eigenvalues`` are the lowest and the highest of the whole H, up to 1000 weights; beyond, of H in the plane.
    """

    name = "quadratic-model"
    title = "Quadratic model"
    equation = (
        r"\mathcal{J}_{\text{quad}}(\mathbf{w} + \mathbf{d}) = \mathcal{J}(\mathbf{w})"
        r" + \nabla \mathcal{J}(\mathbf{w})^\top \mathbf{d} + \tfrac{1}{2} \mathbf{d}^\top \mathbf{H} \mathbf{d}"
    )
    in_a_plane = True

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        return "needs two weights to draw" if problem.dimension < 2 else None

    def price(self, problem: Problem) -> float:
        n = problem.dimension
        return (n * problem.work + 10 * n**3) if n <= LARGEST else 3 * problem.work

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w, plane = point.w, Plane(*point.plane)
        axes = jnp.asarray(plane.axes, w.dtype)
        loss, g = J.value_and_gradient(w)
        if w.shape[0] <= LARGEST:
            H = hessian(J, w).matrix
            model, ν = axes @ H @ axes.T, eigenvalues(H)
        else:
            model = jax.vmap(lambda u: jax.jvp(J.gradient, (w,), (u,))[1])(axes) @ axes.T
            model = (model + model.T) / 2
            ν = eigenvalues(model)
        slope, at = axes @ g, plane.project(w)
        d, singular = solve(model, -slope)
        bounded = ~singular & (eigenvalues(model)[0] > 0)
        return {
            "at": at,
            "loss": loss,
            "gradient": slope,
            "hessian": model,
            "minimizer": at + jnp.where(bounded, d, jnp.nan),
            "eigenvalues": jnp.stack([ν[0], ν[-1]]),
            "bounded": bounded,
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        minimizer = found["minimizer"] if np.all(np.isfinite(found["minimizer"])) else None
        return found | {"minimizer": minimizer, "bounded": bool(found["bounded"]), "matrix": "hessian"}
