r"""Spectra of matrices that are known by their products alone: stochastic Lanczos quadrature.

============  ====================================================================  ==============
symbol        meaning                                                               shape
============  ====================================================================  ==============
``C``         a symmetric matrix, given as ``multiply``: v ↦ C v                    ``(D, D)``
``v``         a probe vector; its direction alone matters                           ``(D,)``
``K``         iterations: products with C                                           scalar
``T``         C in the orthonormal basis of v, Cv, …, C^(K-1) v: tridiagonal        ``(K, K)``
``ν, ω``      nodes and weights: T's eigenvalues (the Ritz values), and the         ``(K,)``
              squared first components of its eigenvectors
============  ====================================================================  ==============

The measure Σ_k ω_k δ(ν_k) has the moments vᵀC^m v / vᵀv for m = 0 … 2K-1, and no more: it is Gauss's quadrature of the
measure that v sees, Σ_j (vᵀq_j)² δ(ν_j) / vᵀv. Averaged over random v that measure is the density of C's eigenvalues
(Ghorbani, Krishnan & Xiao 2019, §2; Yao, Gholami, Keutzer & Mahoney 2020, §III); for v = g it tells where the gradient
lies. The extreme Ritz values are the first to converge to C's, always from the inside.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


class Quadrature(NamedTuple):
    """Nodes ν, ascending, and weights ω, which add up to 1: all (K,)."""

    nodes: Array
    weights: Array
    residuals: Array  # ‖C q - ν q‖ of the Ritz vector q: C has an eigenvalue as near to ν as that


def tridiagonal(multiply: Callable[[Array], Array], v: Array, iterations: int) -> tuple[Array, Array]:
    """T as its diagonal α (K,) and the entries beside it, the first K - 1 of β (K,); the last one leads out of T.

    Every new vector is made orthogonal to all before it, once by the three-term recurrence and once more by
    Gram-Schmidt: the recurrence alone loses orthogonality, and converged eigenvalues then come again as ghosts.

    Where v, Cv, … stay in a space of fewer than K dimensions, the recurrence ends with β = 0 and T is complete; the
    rows left over get α₁ on the diagonal, which lies among the eigenvalues and has weight 0.
    """
    rounding = jnp.finfo(v.dtype).eps * np.sqrt(v.shape[0])

    def iterate(carry, k):
        Q, q, before, beside, size = carry
        Q = Q.at[k].set(q)
        u = multiply(q)
        alone = q @ u
        u = u - alone * q - beside * before
        u = u - Q.T @ (Q @ u)
        size = jnp.maximum(size, jnp.maximum(jnp.abs(alone), beside))
        norm = jnp.linalg.norm(u)
        norm = jnp.where(norm <= rounding * size, 0, norm)
        return (Q, jnp.where(norm == 0, 0, u / norm), q, norm, size), (alone, norm)

    zero, size = jnp.zeros((), v.dtype), jnp.linalg.norm(v)
    first = jnp.zeros((iterations, v.shape[0]), v.dtype), jnp.where(size == 0, 0, v / size), v, zero, zero
    _, (α, β) = jax.lax.scan(iterate, first, jnp.arange(iterations))
    reached = jnp.concatenate([jnp.ones(1, bool), jnp.cumprod(β[:-1] != 0) > 0])
    return jnp.where(reached, α, α[0]), β


def quadrature(multiply: Callable[[Array], Array], v: Array, iterations: int) -> Quadrature:
    """The measure that v sees of C's spectrum, from so many products."""
    α, β = tridiagonal(multiply, v, iterations)
    ν, U = jnp.linalg.eigh(jnp.diag(α) + jnp.diag(β[:-1], 1) + jnp.diag(β[:-1], -1))
    return Quadrature(ν, U[0] ** 2, β[-1] * jnp.abs(U[-1]))


class Density(NamedTuple):
    """A density of eigenvalues per decade of u = asinh(ν / scale) / ln 10: logarithmic, but linear around 0."""

    scale: float
    eigenvalues: np.ndarray  # the grid, as ν, evenly spaced in u
    density: np.ndarray


WIDTH = 0.08  # decades: standard deviation of the Gaussian in the place of a node that is known exactly
UNSURE = 0.2  # of a node's residual: what that is wider where nodes stand for many eigenvalues, not for one
POINTS = 400
AT_ONCE = 2000  # nodes: more would take many megabytes


def density(nodes: np.ndarray, weights: np.ndarray, residuals: np.ndarray, iterations: int) -> Density:
    """The mean of several probes' measures (probes, K), a Gaussian in each node's place; it integrates to 1.

    On an axis of decades, because networks have most eigenvalues near 0 and a few that are a thousand times larger, and
    no finer near 0 than nodes can tell eigenvalues apart: by their distance were they Chebyshev's on [a, b], which is
    π√(-ab)/K at 0 inside the spectrum and (b - a)(π/2K)² at its end. WIDTH and UNSURE are those with which estimates of
    networks' spectra came nearest to the exact ones.
    """
    a, b = min(float(np.min(nodes)), 0.0), max(float(np.max(nodes)), 0.0)
    resolved = max(np.pi / iterations * np.sqrt(-a * b), (b - a) * (np.pi / (2 * iterations)) ** 2)
    if not 0 < resolved < np.inf:
        resolved = 1.0  # all eigenvalues are 0, or nothing is known
    scale = float(f"{resolved:.0e}")  # a round number, which stays as more probes come
    ν, ω, r = (np.asarray(part, float).ravel() for part in (nodes, weights, residuals))
    u = np.arcsinh(ν / scale) / np.log(10)
    σ = np.hypot(WIDTH, np.arcsinh(UNSURE * r / np.hypot(ν, scale)) / np.log(10))
    low, high = np.nan_to_num([np.min(u - 6 * σ), np.max(u + 6 * σ)])
    grid = np.linspace(np.floor(4 * low) / 4, np.ceil(4 * high) / 4, POINTS)
    height = ω / (len(nodes) * σ * np.sqrt(2 * np.pi))
    found = np.zeros(POINTS)
    for some in np.array_split(np.arange(len(u)), len(u) // AT_ONCE + 1):
        found += np.exp(-0.5 * ((grid[:, None] - u[some]) / σ[some]) ** 2) @ height[some]
    return Density(scale, scale * np.sinh(grid * np.log(10)), found.astype(np.float32))
