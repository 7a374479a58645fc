r"""The exact spectrum of H, G or F, and how much of the gradient lies along each eigenvector."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Point, Probe, Problem, knob, option, register
from secondorder.curvature.fisher import fisher
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.curvature.hessian import hessian

MATRICES = {"hessian": hessian, "gauss-newton": gauss_newton, "fisher": fisher}
LARGEST = 1000  # weights: above, an exact spectrum takes seconds


@register
class Spectrum(Probe):
    r"""Ascending eigenvalues ν_j and the components g_j = gᵀq_j of the gradient along the eigenvectors.

    With a damping η also the filter ν_j/(ν_j + η): how much of Newton's step is left in each direction. A matrix of
    lower rank than D has further eigenvalues that are exactly 0; all of g outside its range is told as the component
    along one of their eigenvectors, which are anybody's choice.
    """

    name = "spectrum"
    title = "Spectrum"
    equation = r"\mathbf{C} = \mathbf{Q} \operatorname{diag}(\boldsymbol{\nu}) \mathbf{Q}^\top"

    matrix: str = option("hessian", "which matrix", enum=list(MATRICES))
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own)", scale="log")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.dimension > LARGEST:
            return f"exact spectra go up to {LARGEST} weights; this problem has {problem.dimension}"
        return None

    def price(self, problem: Problem) -> float:
        n = problem.dimension
        return n * problem.work + 15 * n**3

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w = point.w
        ν, Q = MATRICES[self.matrix](J, w).spectrum()
        g = J.gradient(w)
        missing = w.shape[0] - ν.shape[0]
        along = Q.T @ g
        if missing:
            # The factor's own rank may be lower still: what is zero to rounding belongs to the zeros.
            in_range = ν > w.shape[0] * jnp.finfo(ν.dtype).eps * jnp.max(ν)
            ν, along = jnp.where(in_range, ν, 0.0), jnp.where(in_range, along, 0.0)
            outside = jnp.linalg.norm(g - Q @ along)
            ν = jnp.concatenate([jnp.zeros(missing, ν.dtype), ν])
            along = jnp.concatenate([jnp.zeros(missing - 1, ν.dtype), outside[None], along])
        return {"eigenvalues": ν, "gradient": along, "damping": point.damping}

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        ν, η = found["eigenvalues"], float(found["damping"])
        with np.errstate(divide="ignore", invalid="ignore"):
            filtered = None if np.isnan(η) else ν / (ν + η)
        return {
            "matrix": self.matrix,
            "method": "exact",
            "eigenvalues": ν,
            "gradient": found["gradient"],
            "damping": None if np.isnan(η) else η,
            "filter": filtered,
        }
