r"""Symmetric linear algebra: solves that say when a matrix is singular, and eigendecompositions.

Matrices of one and two weights go by closed forms, not LAPACK: under ``vmap`` that is up to eight times faster.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jax.scipy.linalg import cho_solve, lu_factor, lu_solve, solve_triangular

Array = jax.Array


def one_at_a_time(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, which calls LAPACK, under ``vmap`` for one matrix after the other (on a CPU).

    jaxlib spreads a batch over XLA's threads and waits for them in one of these threads: as many such calls at once as
    there are threads, as in a sweep of K-FAC on two cores, and all of them wait for ever.
    """
    mapped = sequential_vmap(f)

    @wraps(f)
    def call(*args: Array) -> Any:
        return (mapped if jax.default_backend() == "cpu" else f)(*args)

    return call


@one_at_a_time
def _eliminate(C: Array, v: Array) -> tuple[Array, Array]:
    """C⁻¹v and the pivots' magnitudes, by LU."""
    factor = lu_factor(C)
    return lu_solve(factor, v), jnp.abs(jnp.diagonal(factor[0]))


@one_at_a_time
def _eliminate_positive(C: Array, v: Array) -> tuple[Array, Array]:
    """C⁻¹v and the pivots, by Cholesky."""
    L = jnp.linalg.cholesky(C)
    y = solve_triangular(L, v, lower=True)
    return solve_triangular(L, y, lower=True, trans=1), jnp.diagonal(L) ** 2


@one_at_a_time
def _invert_positive(C: Array) -> tuple[Array, Array]:
    """C⁻¹ and the pivots, by Cholesky."""
    L = jnp.linalg.cholesky(C)
    return cho_solve((L, True), jnp.eye(len(C), dtype=C.dtype)), jnp.diagonal(L) ** 2


@one_at_a_time
def whiten(C: Array) -> tuple[Array, Array]:
    """L⁻¹ with C = LLᵀ for a positive definite C (n, n), and the pivots (n,)."""
    L = jnp.linalg.cholesky(C)
    return solve_triangular(L, jnp.eye(len(C), dtype=C.dtype), lower=True), jnp.diagonal(L) ** 2


_eigh = one_at_a_time(lambda C: tuple(jnp.linalg.eigh(C)))
_eigvalsh = one_at_a_time(lambda C: jnp.linalg.eigvalsh(C))
_qr = one_at_a_time(lambda C: tuple(jnp.linalg.qr(C)))


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
    x, pivots = _eliminate(scale[:, None] * C * scale, scale * v)
    singular = ~(jnp.min(pivots) > n * jnp.finfo(C.dtype).eps * jnp.max(pivots)) | jnp.any(size == 0)
    return scale * x, singular


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


def unit_diagonal(C: Array) -> tuple[Array, Array, Array]:
    """S C S with ones on its diagonal, S's diagonal, and whether C's is positive (where not, it is left as it is)."""
    diagonal = jnp.diagonal(C)
    scale = jax.lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    return scale[:, None] * C * scale, scale, jnp.all(diagonal > 0)


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
    scaled, scale, has_positive_diagonal = unit_diagonal(C)
    x, pivots = _eliminate_positive(scaled, scale * v)
    return scale * x, ~(jnp.min(pivots) > n * jnp.finfo(C.dtype).eps) | ~has_positive_diagonal


def inverse_positive(C: Array) -> tuple[Array, Array]:
    """C⁻¹ for a symmetric positive definite C (n, n), and whether C is not so to working precision.

    By the same factorization as `solve_positive`; for vectors that come later, or many of them.
    """
    scaled, scale, has_positive_diagonal = unit_diagonal(C)
    inverse, pivots = _invert_positive(scaled)
    singular = ~(jnp.min(pivots) > C.shape[0] * jnp.finfo(C.dtype).eps) | ~has_positive_diagonal
    return scale[:, None] * inverse * scale, singular


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
    return _eigh(C)


def eigenvalues(C: Array) -> Array:
    """The ascending eigenvalues alone, shape (n,)."""
    n = C.shape[0]
    if n == 1:
        return C[0]
    if n == 2:
        a, b, d = C[0, 0], C[0, 1], C[1, 1]
        mean, radius = (a + d) / 2, jnp.hypot((a - d) / 2, b)
        return jnp.stack([mean - radius, mean + radius])
    return _eigvalsh(C)


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
    U, T = _qr(R.T)
    ν, V = _eigh(T @ T.T)
    return jnp.maximum(ν, 0), U @ V


def inverse_cholesky(C: Array) -> tuple[Array, Array]:
    """R = L⁻ᵀ, upper triangular with RRᵀ = C⁻¹, for a positive definite C = LLᵀ (n, n), and whether C is not so.

    By the same scaled factorization as `solve_positive`.
    """
    n = C.shape[0]
    scaled, scale, has_positive_diagonal = unit_diagonal(C)
    if n <= 2:
        c = scaled[0, -1] if n == 2 else jnp.zeros((), C.dtype)
        last = (1 - c) * (1 + c)
        s = jnp.sqrt(last)
        inverse, pivots = jnp.array([[1.0, 0.0], [-c / s, 1 / s]], C.dtype)[:n, :n], last
    else:
        inverse, pivots = whiten(scaled)
    indefinite = ~(jnp.min(pivots) > n * jnp.finfo(C.dtype).eps) | ~has_positive_diagonal
    return scale[:, None] * inverse.T, indefinite


def inverse_square_root(C: Array) -> tuple[Array, Array]:
    """The symmetric R = C^(-1/2) = Q diag(ν)^(-1/2) Qᵀ of a positive definite C (n, n), and whether C is not so."""
    ν, Q = eigh(C)
    indefinite = ~(ν[0] > C.shape[0] * jnp.finfo(C.dtype).eps * ν[-1])
    return (Q * jax.lax.rsqrt(ν)) @ Q.T, indefinite


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
