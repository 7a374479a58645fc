r"""Symmetric linear algebra: solves that say when a matrix is singular, and eigendecompositions.

Matrices of one and two weights go by closed forms, not LAPACK: under ``vmap`` that is up to eight times faster.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, lu_factor, lu_solve, solve_triangular

Array = jax.Array


def solve(C: Array, v: Array) -> tuple[Array, Array]:
    """x with C x = v for a symmetric C (n, n), definite or not, and whether C is singular to working precision.

    Gaussian elimination on the equilibrated matrix S C S, S = diag(max_j |C_ij|)^(-1/2), so that a diagonal matrix
    whose entries differ by a factor 1e100 is not mistaken for a singular one. Singular is a pivot below n·eps. Where it
    is, x is not to be used.
    """
    n = C.shape[0]
    if n == 1:
        return v / C[0], C[0, 0] == 0
    if n == 2:
        return _solve2(C, v)
    size = jnp.max(jnp.abs(C), axis=1)
    scale = jax.lax.rsqrt(jnp.where(size > 0, size, 1.0))
    factor = lu_factor(scale[:, None] * C * scale)
    pivots = jnp.abs(jnp.diagonal(factor[0]))
    singular = ~(jnp.min(pivots) > n * jnp.finfo(C.dtype).eps * jnp.max(pivots)) | jnp.any(size == 0)
    return scale * lu_solve(factor, scale * v), singular


def _solve2(C: Array, v: Array) -> tuple[Array, Array]:
    # Elimination with the larger of the first column's entries as pivot. The second pivot is a difference: when all but
    # the last bits of it cancel, the matrix is singular as far as these digits tell.
    (a, b), d = C[0], C[1, 1]
    swap = jnp.abs(b) > jnp.abs(a)
    p, q, r, s = jnp.where(swap, b, a), jnp.where(swap, d, b), jnp.where(swap, a, b), jnp.where(swap, b, d)
    v0, v1 = jnp.where(swap, v[1], v[0]), jnp.where(swap, v[0], v[1])
    ratio = r / p
    last = s - ratio * q
    x1 = (v1 - ratio * v0) / last
    x0 = (v0 - q * x1) / p
    rounding = 4 * jnp.finfo(C.dtype).eps * jnp.abs(ratio * q)
    return jnp.stack([x0, x1]), (p == 0) | (jnp.abs(last) <= rounding)


def solve_positive(C: Array, v: Array) -> tuple[Array, Array]:
    """x with C x = v for a symmetric positive definite C (n, n), and whether C is not so to working precision.

    Cholesky's factorization of the matrix scaled to unit diagonal; half the work of `solve`.
    """
    n = C.shape[0]
    if n <= 2:
        x, singular = solve(C, v)
        a, b, d = C[0, 0], C[0, -1], C[-1, -1]
        definite = (a > 0) & (d - b / a * b > 0) if n == 2 else a > 0
        return x, singular | ~definite
    diagonal = jnp.diagonal(C)
    scale = jax.lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    L = jnp.linalg.cholesky(scale[:, None] * C * scale)
    pivots = jnp.diagonal(L) ** 2
    singular = ~(jnp.min(pivots) > n * jnp.finfo(C.dtype).eps) | jnp.any(diagonal <= 0)
    y = solve_triangular(L, scale * v, lower=True)
    return scale * solve_triangular(L, y, lower=True, trans=1), singular


def inverse_positive(C: Array) -> tuple[Array, Array]:
    """C⁻¹ for a symmetric positive definite C (n, n), and whether C is not so to working precision.

    By the same factorization as `solve_positive`; for vectors that come later, or many of them.
    """
    n = C.shape[0]
    diagonal = jnp.diagonal(C)
    scale = jax.lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    L = jnp.linalg.cholesky(scale[:, None] * C * scale)
    singular = ~(jnp.min(jnp.diagonal(L)) ** 2 > n * jnp.finfo(C.dtype).eps) | jnp.any(diagonal <= 0)
    return scale[:, None] * cho_solve((L, True), jnp.eye(n, dtype=C.dtype)) * scale, singular


def pi(A: Array, S: Array) -> Array:
    """π = √((tr A / dim A) / (tr S / dim S)), how damping is shared between the factors; 1 where a trace vanishes."""
    ratio = (jnp.trace(A) / A.shape[0]) / (jnp.trace(S) / S.shape[0])
    return jnp.where((ratio > 0) & (ratio < jnp.inf), jnp.sqrt(ratio), 1.0)


def eigh(C: Array) -> tuple[Array, Array]:
    """Ascending eigenvalues ν (n,) and orthonormal eigenvectors, the columns of Q (n, n): C = Q diag(ν) Qᵀ."""
    n = C.shape[0]
    if n == 1:
        return C[0], jnp.ones_like(C)
    if n == 2:
        # Jacobi's rotation: tan 2θ = 2b / (a - d) turns the axes onto the eigenvectors.
        a, b, d = C[0, 0], C[0, 1], C[1, 1]
        angle = jnp.arctan2(2 * b, a - d) / 2
        c, s = jnp.cos(angle), jnp.sin(angle)
        return eigenvalues(C), jnp.array([[-s, c], [c, s]])
    return tuple(jnp.linalg.eigh(C))


def eigenvalues(C: Array) -> Array:
    """The ascending eigenvalues alone, shape (n,)."""
    n = C.shape[0]
    if n == 1:
        return C[0]
    if n == 2:
        a, b, d = C[0, 0], C[0, 1], C[1, 1]
        mean, radius = (a + d) / 2, jnp.hypot((a - d) / 2, b)
        return jnp.stack([mean - radius, mean + radius])
    return jnp.linalg.eigvalsh(C)


def eigh_factored(R: Array) -> tuple[Array, Array]:
    """`eigh` of C = RᵀR from its factor R (rows, n), in the space of R's rows where that is the smaller one.

    With fewer rows than columns the n - rows further eigenvalues are exactly zero; only the eigenvectors of the others
    are returned, so Q is (n, min(rows, n)) and ν has the same length. With Rᵀ = UT, U's columns orthonormal, C is
    U(TTᵀ)Uᵀ: so the columns of Q stay orthonormal however small their eigenvalues.
    """
    rows, n = R.shape
    if rows >= n or n <= 2:
        ν, Q = eigh(R.T @ R)
        return jnp.maximum(ν, 0), Q
    U, T = jnp.linalg.qr(R.T)
    ν, V = jnp.linalg.eigh(T @ T.T)
    return jnp.maximum(ν, 0), U @ V


class Dense(NamedTuple):
    """A curvature matrix C written out, with the l2 term's Hessian beside it.

    C, its spectrum and its factor are the loss's (the Hessian's are J's); whatever is multiplied or solved with adds
    ``l2``, the diagonal that the l2 term contributes.
    """

    matrix: Array  # (D, D)
    l2: Array | float = 0.0  # (D,) or a number
    factor: Array | None = None  # R (rows, D) with C = RᵀR, where C is known to be positive semidefinite

    def multiply(self, v: Array) -> Array:
        """(C + L) v for L = diag(l2)."""
        return self.matrix @ v + self.l2 * v

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        """(C + L + ηI)⁻¹ v, and whether that matrix is singular (or, known to be semidefinite, not definite)."""
        C = self.matrix + (self.l2 + damping) * jnp.eye(v.shape[0], dtype=v.dtype)
        return solve(C, v) if self.factor is None else solve_positive(C, v)

    def eigenvalues(self) -> Array:
        """Ascending eigenvalues of C, shape (D,)."""
        ν, _ = self.spectrum()
        return jnp.concatenate([jnp.zeros(self.matrix.shape[0] - ν.shape[0], ν.dtype), ν])

    def spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors of C as `eigh_factored` returns them."""
        return eigh(self.matrix) if self.factor is None else eigh_factored(self.factor)
