r"""The spectrum of H, G or F, and how much of the gradient lies where: exactly, or by stochastic Lanczos quadrature."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Point, Probe, Problem, knob, option, register
from secondorder.curvature.fisher import fisher
from secondorder.curvature.gauss_newton import gauss_newton, gauss_newton_products
from secondorder.curvature.hessian import hessian, hessian_products
from secondorder.lanczos import density, quadrature

WRITTEN_OUT = {"hessian": hessian, "gauss-newton": gauss_newton, "fisher": fisher}
# The likelihoods are exponential families and outputs their natural parameters, so that F = G: it is multiplied as G.
PRODUCTS = {"hessian": hessian_products, "gauss-newton": gauss_newton_products, "fisher": gauss_newton_products}
LARGEST = 1000  # weights: above, an exact spectrum takes seconds
GRADIENT = 1  # the stage in which Lanczos starts at g: the second, as a first probe is what a reader waits for


@register
class Spectrum(Probe):
    r"""Ascending eigenvalues ν_j and the components g_j = gᵀq_j of the gradient along the eigenvectors.

    With a damping η also the filter ν_j/(ν_j + η): how much of Newton's step is left in each direction. A matrix of
    lower rank than D has further eigenvalues that are exactly 0; all of g outside its range is told as the component
    along one of their eigenvectors, which are anybody's choice.

    Up to 1000 weights that is exact. With more it is estimated from products with the matrix alone, by stochastic
    Lanczos quadrature: some random ``probes`` (unit vectors of any direction), each with so many ``iterations``, give
    nodes and weights whose mean is the density of the eigenvalues, and one more run that starts at g gives its
    eigenvalues' estimates and g's components: their sums Σ g_j² ν_j^m are gᵀC^m g up to m = 2·iterations - 1. The
    answer is told after each probe; ``done`` of ``probes`` are in it.
    """

    name = "spectrum"
    title = "Spectrum"
    equation = r"\mathbf{C} = \mathbf{Q} \operatorname{diag}(\boldsymbol{\nu}) \mathbf{Q}^\top"

    matrix: str = option("hessian", "which matrix", enum=list(WRITTEN_OUT))
    method: str = option("auto", "exact up to 1000 weights, lanczos beyond", enum=["auto", "exact", "lanczos"])
    probes: int = option(10, "random vectors of Lanczos's method", minimum=1, maximum=100)
    iterations: int = option(64, "iterations of Lanczos's method", minimum=2, maximum=512)
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own)", scale="log")

    def for_problem(self, problem: Problem) -> "Spectrum":
        n = problem.dimension
        if self.method == "exact" and n > LARGEST:
            raise ValueError(f"exact spectra go up to {LARGEST} weights; this problem has {n}: estimate it by lanczos")
        method = self.method
        if method == "auto":
            method = "exact" if n <= LARGEST else "lanczos"
        return dataclasses.replace(self, method=method, iterations=min(self.iterations, n))

    def price(self, problem: Problem) -> float:
        asked, n = self.for_problem(problem), problem.dimension
        if asked.method == "exact":
            return n * problem.work + 15 * n**3
        return asked.stages * asked.iterations * (problem.work + 4 * asked.iterations * n)

    @property
    def stages(self) -> int:
        return self.probes + 1 if self.method == "lanczos" else 1

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        found = self._estimated(J, point) if self.method == "lanczos" else self._exact(J, point.w)
        return found | {"damping": point.damping}

    def _exact(self, J: Objective, w: jax.Array) -> dict[str, Any]:
        ν, Q = WRITTEN_OUT[self.matrix](J, w).spectrum()
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
        return {"eigenvalues": ν, "gradient": along}

    def _estimated(self, J: Objective, point: Point) -> dict[str, Any]:
        w, g = point.w, J.gradient(point.w)
        assert J.key is not None, "random probes need a key"
        probe = jax.random.normal(jax.random.fold_in(J.key, point.stage), w.shape, w.dtype)
        v = jnp.where(point.stage == GRADIENT, g, probe)
        ν, ω = quadrature(PRODUCTS[self.matrix](J, w).product, v, self.iterations)
        return {"nodes": ν, "weights": ω, "size": jnp.linalg.norm(v)}

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        return {"matrix": self.matrix} | (self._tell_estimate if "nodes" in found else self._tell_exact)(found)

    def _tell_exact(self, found: dict[str, Any]) -> dict[str, Any]:
        spectral = {"eigenvalues": found["eigenvalues"], "gradient": found["gradient"]}
        return {"method": "exact"} | spectral | _filter(found["eigenvalues"], float(found["damping"]))

    def _tell_estimate(self, found: dict[str, Any]) -> dict[str, Any]:
        ν, ω = found["nodes"], found["weights"]
        random = np.arange(len(ν)) != GRADIENT
        spectral: dict[str, Any] = {"eigenvalues": None, "gradient": None}
        if len(ν) > GRADIENT:
            spectral = {"eigenvalues": ν[GRADIENT], "gradient": found["size"][GRADIENT] * np.sqrt(ω[GRADIENT])}
        estimate = {
            "method": "lanczos",
            "probes": self.probes,
            "iterations": self.iterations,
            "done": int(np.sum(random)),
            "nodes": ν[random],
            "weights": ω[random],
            "density": density(ν[random], ω[random])._asdict(),
            "extremes": [np.min(ν), np.max(ν)],
        }
        return estimate | spectral | _filter(spectral["eigenvalues"], float(found["damping"][0]))


def _filter(ν: np.ndarray | None, η: float) -> dict[str, Any]:
    """The damping, and how much of Newton's step it leaves along each eigenvector."""
    if np.isnan(η):
        return {"damping": None, "filter": None}
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"damping": η, "filter": None if ν is None else ν / (ν + η)}
