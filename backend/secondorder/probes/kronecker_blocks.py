r"""What each layerwise approximation of G keeps and loses: matrices, inverses, factors, eigenvalues, and the step."""

import dataclasses
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Layers, Objective, Point, Probe, Problem, knob, option, register
from secondorder.curvature import block_tridiagonal, kronecker
from secondorder.curvature.block_diagonal import exact_blocks
from secondorder.curvature.eigenvalue_corrected import Bases, EigenvalueCorrected, scales
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.solve import eigenvalues, inverse_positive, pi

Array = jax.Array
LARGEST = 700  # weights that are written out: six matrices and their inverses
ROWS = 5e7  # entries of the Jacobian that all of G is made of
DAMPING = 0.01  # where the lane has none of its own
DIGITS = 3  # of a heatmap's entries
TITLES = {
    "exact": "Exact G",
    "block-diagonal": "Block-diagonal",
    "kronecker": "Kronecker-factored",
    "kronecker-pi": "Kronecker-factored, π-damped",
    "eigenvalue-corrected": "Eigenvalue-corrected (EKFAC)",
    "block-tridiagonal": "Block-tridiagonal inverse, π-damped",
}
SINGULAR = ("the damped matrix is singular to working precision",)
REFUSALS = dict.fromkeys(TITLES, SINGULAR) | {
    "kronecker-pi": kronecker.FAULTS,
    "block-tridiagonal": block_tridiagonal.FAULTS,
}


@register
class KroneckerBlocks(Probe):
    r"""G and its approximations with one damping, side by side: their errors in the Frobenius norm, and their steps.

    ``exact`` is G + L + ηI, L the Hessian of the l2 term; the block-diagonal keeps its blocks. Kronecker-factored
    blocks A ⊗ S are damped exactly, A ⊗ S + (η + l2)I, or by their factors, (A + πγI) ⊗ (S + γ/π I) with γ² = η + l2;
    EKFAC has better eigenvalues; the block-tridiagonal inverse lets neighbouring layers depend on each other, its
    factors damped likewise. Expectations over targets are exact. ``error`` compares damped matrices, ``inverse_error``
    their inverses, ``undamped_error`` G itself with what approximates it. A step's ``model`` is
    M(δ) = gᵀδ + ½ δᵀ(G + L + ηI)δ, which no step has lower than the exact one; ``rescaled`` is M at the best multiple,
    ``scale`` times the step, as K-FAC takes it.

    Heatmaps have at most ``cells`` rows: a cell is the mean over some consecutive weights of one layer. Of a network
    with too many weights one ``layer`` is shown.
    """

    name = "kronecker-blocks"
    title = "Blocks of the curvature"
    equation = (
        r"\mathbf{G}_{\ell\ell} = \mathbb{E}[\bar{\mathbf{a}}_{\ell-1} \bar{\mathbf{a}}_{\ell-1}^\top \otimes"
        r" \mathcal{D}\mathbf{s}_\ell \mathcal{D}\mathbf{s}_\ell^\top]"
        r" \approx \mathbf{A}_{\ell-1} \otimes \mathbf{S}_\ell"
    )

    layer: int = option(0, "which layer (0: all, where the network is small enough)", minimum=0, maximum=64)
    cells: int = option(120, "rows of a heatmap at most", minimum=8, maximum=400)
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own)", scale="log")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.network is None or problem.likelihood is None:
            return "needs a network made of layers"
        if not _choices(problem):
            return f"writes out at most {LARGEST} weights, and each layer here has more"
        return None

    def for_problem(self, problem: Problem) -> "KroneckerBlocks":
        counts = _counts(problem)
        if self.layer > len(counts):
            raise ValueError(f"{problem.name} has {len(counts)} layers, not {self.layer}")
        if self.layer and counts[self.layer - 1] > LARGEST:
            raise ValueError(
                f"layer {self.layer} has {counts[self.layer - 1]} weights; at most {LARGEST} are written out"
            )
        return self if self.layer else dataclasses.replace(self, layer=_choices(problem)[0])

    def price(self, problem: Problem) -> float:
        asked, counts = self.for_problem(problem), _counts(problem)
        backward, N = problem.output_size * problem.work, problem.examples
        if asked.layer:
            n = counts[asked.layer - 1]
            return backward + 2.0 * N * n**2 + 30.0 * n**3
        n = problem.dimension
        return backward + 2.0 * N * problem.output_size * n**2 + 50.0 * n**3

    def measure(self, J: Objective, point: Point) -> dict[Any, Any]:
        network, w = J.problem.network, point.w
        assert network is not None
        chosen = [self.layer - 1] if self.layer else list(range(len(network.slices)))
        part = network.slices[self.layer - 1] if self.layer else slice(0, len(w))
        η = jnp.where(jnp.isnan(point.damping), DAMPING, point.damping).astype(float)
        l2 = jnp.broadcast_to(jnp.asarray(J.problem.l2_diagonal(), float), w.shape)
        λ = η + jnp.max(l2)  # factors take a number for the l2 term's diagonal

        # Whatever the problem's precision, what is made of these is compared in float64.
        blocks = _double(exact_blocks(J, w, chosen))
        exact = blocks[0] if self.layer else _double(gauss_newton(J, w).matrix)
        factors = _double(kronecker.estimate(J, w, exact=True))
        bases = kronecker.diagonalize(factors)
        turned = Bases([Q for _, Q in bases.A], [Q for _, Q in bases.S])
        D = _double(scales(J, w, jax.tree.map(lambda Q: Q.astype(w.dtype), turned), exact=True))
        product = kronecker.Kronecker(network, factors).matrix[part, part]
        plain = {"exact": exact, "block-diagonal": jax.scipy.linalg.block_diag(*blocks), "kronecker": product}
        plain["eigenvalue-corrected"] = EigenvalueCorrected(network, turned, D).matrix[part, part]
        diagonal = [l2[part] + η if name in ("exact", "block-diagonal") else λ + 0 * l2[part] for name in plain]
        both = jax.vmap(_inverted)(jnp.stack([C + jnp.diag(d) for C, d in zip(plain.values(), diagonal, strict=True)]))
        damped = {name: jax.tree.map(itemgetter(i), both) for i, name in enumerate(plain)}
        plain["kronecker-pi"], damped["kronecker-pi"] = product, _pi_damped(factors, jnp.sqrt(λ), chosen)
        if self.layer:
            del damped["block-diagonal"]  # of one layer alone it is G, and what comes next is K-FAC
        else:
            statistics = _double(block_tridiagonal.estimate(J, w, exact=True))
            damped["block-tridiagonal"] = _chained(network, statistics, λ)

        parts = [network.slices[i] for i in chosen]
        cells = Cells.of([slice(p.start - part.start, p.stop - part.start) for p in parts], self.cells)
        found: dict[Any, Any] = {("all", key): np.asarray(value) for key, value in cells._asdict().items()}
        found |= {("all", "damping"): η, ("all", "origin"): np.asarray(part.start)}
        found["all", "choices"] = np.asarray(_choices(J.problem))
        g = _double(J.gradient(w)[part])
        for name, C in damped.items():
            compared = _compared(C, damped["exact"], g) | {"matrix": cells.means(C.matrix)}
            compared |= {
                "undamped_error": _distance(plain.get(name, jnp.nan), exact),
                "inverse": cells.means(C.inverse),
            }
            found |= {(name, key): value for key, value in compared.items()}
        for i, block in zip(chosen, blocks, strict=True):
            A, S = factors.A[i], factors.S[i]
            told = {"error": _distance(jnp.kron(S, A), block), "exact": eigenvalues(block), "corrected": D[i]}
            told |= {"products": jnp.outer(bases.S[i][0], bases.A[i][0]), "shape": np.asarray([len(S), len(A)])}
            told |= {"first": np.asarray(network.slices[i].start)}
            told |= {name: Cells.of([slice(0, len(C))], self.cells).means(C) for name, C in (("A", A), ("S", S))}
            found |= {(f"layer {i + 1}", key): value for key, value in told.items()}
        return found

    def tell(self, found: dict[Any, Any]) -> dict[str, Any]:
        numbers = sorted(int(part.split()[1]) for part, key in found if key == "A")
        first = self.layer or 1
        return {
            "layer": self.layer,
            "choices": found["all", "choices"],
            "damping": found["all", "damping"],
            "reduction": int(found["all", "size"]),
            "cells": {
                "first": found["all", "first"] + found["all", "origin"],
                "count": found["all", "count"],
                "layer": found["all", "part"] + first,
            },
            "representations": [_told(name, found) for name in TITLES if (name, "error") in found],
            "layers": [{"layer": number} | _told_factors(f"layer {number}", found) for number in numbers],
        }


class Cells(NamedTuple):
    """Rows of a heatmap: each the mean over at most ``size`` consecutive weights of one part."""

    size: int
    first: list[int]
    count: list[int]
    part: list[int]

    @classmethod
    def of(cls, parts: list[slice], most: int) -> "Cells":
        size = 1
        while sum(-(-(p.stop - p.start) // size) for p in parts) > max(most, len(parts)):
            size += 1
        rows = [
            (first, min(size, p.stop - first), i) for i, p in enumerate(parts) for first in range(p.start, p.stop, size)
        ]
        return cls(size, *(list(column) for column in zip(*rows, strict=True)))

    def means(self, C: Array) -> Array:
        """C (n, n) averaged over cells × cells."""
        M = np.zeros((len(self.first), len(C)))
        for row, (first, count) in enumerate(zip(self.first, self.count, strict=True)):
            M[row, first : first + count] = 1 / count
        return jnp.asarray(M) @ C @ M.T


class Written(NamedTuple):
    """One damped matrix and its inverse, written out, and what keeps them from being used (0: nothing)."""

    matrix: Array
    inverse: Array
    fault: Array


def _counts(problem: Problem) -> list[int]:
    assert problem.network is not None
    return [out * fan_in for out, fan_in in problem.network.shapes]


def _choices(problem: Problem) -> list[int]:
    """What can be written out: 0 for all layers at once, and the numbers of layers."""
    n, counts = problem.dimension, _counts(problem)
    whole = n <= LARGEST and problem.examples * problem.output_size * n <= ROWS
    return [0] * whole + [layer for layer, count in enumerate(counts, start=1) if count <= LARGEST]


def _double(tree: Any) -> Any:
    return jax.tree.map(lambda part: part.astype(float), tree)


def _inverted(C: Array) -> Written:
    inverse, singular = inverse_positive(C)
    return Written(C, inverse, singular.astype(int))


def _pi_damped(factors: kronecker.Factors, γ: Array, layers: list[int]) -> Written:
    """Blocks (S + γ/π I) ⊗ (A + πγ I), and their inverses as K-FAC has them."""
    inverses, blocks = kronecker.invert(factors, γ), []
    for A, S in ((factors.A[i], factors.S[i]) for i in layers):
        π = pi(A, S)
        blocks.append(jnp.kron(S + γ / π * jnp.eye(len(S)), A + π * γ * jnp.eye(len(A))))
    inverse = [jnp.kron(inverses.S[i], inverses.A[i]) for i in layers]
    return Written(jax.scipy.linalg.block_diag(*blocks), jax.scipy.linalg.block_diag(*inverse), inverses.fault)


def _chained(network: Layers, statistics: block_tridiagonal.Statistics, damping: Array | float) -> Written:
    """Ĝ and the block-tridiagonal Ĝ⁻¹; not a number where that does not exist."""
    chain = block_tridiagonal.prepare(statistics, jnp.sqrt(damping))
    Ĝ = block_tridiagonal.BlockTridiagonal(network, statistics, damping=damping).matrix
    columns = jax.vmap(lambda v: network.join(chain.apply(network.split(v))))(jnp.eye(len(Ĝ)))
    exists = chain.fault == 0
    return Written(jnp.where(exists, Ĝ, jnp.nan), jnp.where(exists, columns.T, jnp.nan), chain.fault)


def _distance(C: Array | float, exact: Array) -> Array:
    """‖C - exact‖ / ‖exact‖ in the Frobenius norm."""
    return jnp.linalg.norm(C - exact) / jnp.linalg.norm(exact)


def _compared(C: Written, exact: Written, g: Array) -> dict[str, Array]:
    """A damped matrix against the exact one, and the step δ = -C⁻¹g in the exact one's quadratic model."""
    δ, best = -C.inverse @ g, -exact.inverse @ g
    slope, curvature = g @ δ, δ @ exact.matrix @ δ
    scale = -slope / curvature
    found = {
        "error": _distance(C.matrix, exact.matrix),
        "inverse_error": _distance(C.inverse, exact.inverse),
        "norm": jnp.linalg.norm(δ),
        "cosine": δ @ best / (jnp.linalg.norm(δ) * jnp.linalg.norm(best)),
        "model": slope + curvature / 2,
        "scale": scale,
        "rescaled": scale * slope / 2,
    }
    by_itself, with_exact = C.fault == 0, (C.fault == 0) & (exact.fault == 0)
    counts = dict.fromkeys(found, by_itself) | {"error": True, "inverse_error": with_exact, "cosine": with_exact}
    return {key: jnp.where(counts[key], value, jnp.nan) for key, value in found.items()} | {"fault": C.fault}


def _heatmap(C: np.ndarray) -> np.ndarray | None:
    """To a few significant digits: a picture shows no more, and what is sent is a third as long."""
    if not np.all(np.isfinite(C)):
        return None
    size = np.abs(C)
    places = DIGITS - 1 - np.floor(np.log10(np.where(size > 0, size, 1.0)))
    up, down = (
        10.0 ** np.maximum(places, 0),
        10.0 ** np.maximum(-places, 0),
    )  # whole powers of ten: 0.123, not 0.12299999
    return np.round(C * up / down) / up * down


def _told(name: str, found: dict[Any, Any]) -> dict[str, Any]:
    fault = int(found[name, "fault"])
    step = {key: found[name, key] for key in ("norm", "cosine", "model", "scale", "rescaled")}
    errors = {key: found[name, key] for key in ("error", "inverse_error", "undamped_error")}
    refused = REFUSALS[name][fault - 1] if fault else None
    shown = {"matrix": _heatmap(found[name, "matrix"]), "inverse": None if fault else _heatmap(found[name, "inverse"])}
    return {"name": name, "title": TITLES[name], "refused": refused, **errors, "step": step, **shown}


def _told_factors(layer: str, found: dict[Any, Any]) -> dict[str, Any]:
    spectra = {
        key: np.sort(np.maximum(found[layer, key], 0), axis=None)[::-1].copy()
        for key in ("exact", "products", "corrected")
    }
    plain = {key: found[layer, key] for key in ("first", "shape", "error")}
    return plain | {"A": _heatmap(found[layer, "A"]), "S": _heatmap(found[layer, "S"])} | spectra
