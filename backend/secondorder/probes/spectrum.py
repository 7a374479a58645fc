r"""The spectrum of a curvature, and where the gradient lies in it: exactly, or by stochastic Lanczos quadrature."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.cg import MatrixFree
from secondorder.core import Objective, Point, Probe, Problem, knob, option, register
from secondorder.curvature.empirical_fisher import empirical_fisher, empirical_fisher_products
from secondorder.curvature.fisher import fisher
from secondorder.curvature.gauss_newton import gauss_newton, gauss_newton_products
from secondorder.curvature.hessian import hessian, hessian_products
from secondorder.curvature.pullback_diagonal import exact_diagonal
from secondorder.lanczos import density, quadrature


def diagonal_products(J: Objective, w: jax.Array) -> MatrixFree:
    """diag(G) by its products."""
    d = exact_diagonal(J, w).diagonal
    return MatrixFree(lambda v: d * v, w, J.problem.l2_diagonal())


WRITTEN_OUT = {
    "hessian": hessian,
    "gauss-newton": gauss_newton,
    "fisher": fisher,
    "empirical-fisher": empirical_fisher,
}
PRODUCTS = {
    "hessian": hessian_products,
    "gauss-newton": gauss_newton_products,
    # The likelihoods are exponential families and outputs their natural parameters: F = G.
    "fisher": gauss_newton_products,
    "empirical-fisher": empirical_fisher_products,
    "diagonal": diagonal_products,
}
LARGEST = 1000  # weights: above, an exact spectrum takes seconds
LARGEST_DIAGONAL = 50_000  # weights: above, the answer would have megabytes
GRADIENT = 1  # the stage in which Lanczos starts at g: the second, as a first probe is what a reader waits for


@register
class Spectrum(Probe):
    r"""Ascending eigenvalues ν_j and the components g_j = gᵀq_j of the gradient along the eigenvectors.

    With a damping η also the filter ν_j/(ν_j + η): how much of Newton's step is left in each direction. A matrix of
    lower rank than D has further eigenvalues that are exactly 0; all of g outside its range is told as the component
    along one of their eigenvectors, which are anybody's choice.

    Up to 1000 weights that is exact, and for G's diagonal, whose eigenvalues are its entries, beyond. Else it is
    estimated from products with the matrix alone, by stochastic Lanczos quadrature: some random ``probes`` (vectors of
    any direction), each with so many ``iterations``, give nodes and weights whose mean is the density of the
    eigenvalues, and one more run that starts at g gives eigenvalues' estimates with g's components along them, whose
    sums Σ g_j² ν_j^m are gᵀC^m g up to m = 2·iterations - 1. After each probe it is told anew; ``done`` of ``probes``.
    """

    name = "spectrum"
    title = "Spectrum"
    equation = r"\mathbf{C} = \mathbf{Q} \operatorname{diag}(\boldsymbol{\nu}) \mathbf{Q}^\top"

    matrix: str = option("hessian", "which matrix", enum=list(PRODUCTS))
    method: str = option("auto", "exact up to 1000 weights, lanczos beyond", enum=["auto", "exact", "lanczos"])
    probes: int = option(10, "random vectors of Lanczos's method", minimum=1, maximum=100)
    iterations: int = option(64, "iterations of Lanczos's method", minimum=2, maximum=512)
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own)", scale="log")

    def for_problem(self, problem: Problem) -> "Spectrum":
        n, largest = problem.dimension, LARGEST_DIAGONAL if self.matrix == "diagonal" else LARGEST
        if self.method == "exact" and n > largest:
            raise ValueError(f"exact spectra go up to {largest} weights; this problem has {n}: estimate it by lanczos")
        method = self.method
        if method == "auto":
            method = "exact" if n <= largest else "lanczos"
        return dataclasses.replace(self, method=method, iterations=min(self.iterations, n))

    def price(self, problem: Problem) -> float:
        asked, n = self.for_problem(problem), problem.dimension
        diagonal = problem.output_size * problem.work if self.matrix == "diagonal" else 0.0
        if asked.method == "exact":
            return diagonal or n * problem.work + 15 * n**3
        return asked.stages * (diagonal + asked.iterations * (problem.work + 4 * asked.iterations * n))

    @property
    def stages(self) -> int:
        return self.probes + 1 if self.method == "lanczos" else 1

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        found = self._estimated(J, point) if self.method == "lanczos" else self._exact(J, point.w)
        return found | {"damping": point.damping}

    def _exact(self, J: Objective, w: jax.Array) -> dict[str, Any]:
        g = J.gradient(w)
        if self.matrix == "diagonal":
            d = exact_diagonal(J, w).diagonal
            order = jnp.argsort(d)
            return {"eigenvalues": d[order], "gradient": g[order]}
        ν, Q = WRITTEN_OUT[self.matrix](J, w).spectrum()
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
        found = quadrature(PRODUCTS[self.matrix](J, w).product, v, self.iterations)
        return found._asdict() | {"size": jnp.linalg.norm(v)}

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        return {"matrix": self.matrix} | (self._tell_estimate if "nodes" in found else self._tell_exact)(found)

    def _tell_exact(self, found: dict[str, Any]) -> dict[str, Any]:
        ν = found["eigenvalues"]
        spectral = {"eigenvalues": ν, "gradient": found["gradient"]}
        if len(ν) > LARGEST:  # to be drawn like the estimates of other matrices
            weights = np.full((1, len(ν)), 1 / len(ν))
            spectral["density"] = density(ν[None], weights, 0 * weights, self.iterations)._asdict()
        return {"method": "exact"} | spectral | _filter(ν, float(found["damping"]))

    def _tell_estimate(self, found: dict[str, Any]) -> dict[str, Any]:
        ν, ω, r = found["nodes"], found["weights"], found["residuals"]
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
            "density": density(ν[random], ω[random], r[random], self.iterations)._asdict(),
            "extremes": [np.min(ν), np.max(ν)],
        }
        return estimate | spectral | _filter(spectral["eigenvalues"], float(found["damping"][0]))


def _filter(ν: np.ndarray | None, η: float) -> dict[str, Any]:
    """The damping, and how much of Newton's step it leaves along each eigenvector."""
    if np.isnan(η):
        return {"damping": None, "filter": None}
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"damping": η, "filter": None if ν is None else ν / (ν + η)}
