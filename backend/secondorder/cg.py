r"""Preconditioned conjugate gradients: minimize φ(v) = ½ vᵀAv + gᵀv, that is, solve Av = -g, by products with A alone.

============  ====================================================================  ==============
symbol        meaning                                                               shape
============  ====================================================================  ==============
``A``         a symmetric matrix, given as ``multiply``: v ↦ Av                     ``(D, D)``
``M``         the preconditioner, given as ``precondition``: r ↦ M⁻¹r               ``(D, D)``
``v``         the iterate                                                           ``(D,)``
``r``         the residual Av + g, which is φ's gradient                            ``(D,)``
``p``         the direction; all directions are conjugate: pᵢᵀApⱼ = 0               ``(D,)``
``α, β``      step size along p, and how much of p the next direction keeps         scalars
============  ====================================================================  ==============

In exact arithmetic v is φ's minimizer after as many iterations as M⁻¹A has distinct eigenvalues, and before that its
error falls at least as ‖v_k - v*‖_A ≤ 2((√κ - 1)/(√κ + 1))^k ‖v_0 - v*‖_A, κ the condition number of M⁻¹A (Nocedal &
Wright 2006, §5.1). The stop on relative progress and the iterates kept are those of Martens 2010, §4.4 and §4.6.
"""

import math
from collections.abc import Callable
from itertools import count, takewhile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

BUDGET, CONVERGED, SLOW, NEGATIVE, FLAT, NOT_FINITE = range(6)
TOGETHER = 32  # products at a time, where a matrix is written out
STATUS = ("budget", "converged", "slow progress", "negative curvature", "no curvature", "not finite")


class Trace(NamedTuple):
    """Row k tells of the iterate v_k, row 0 of the start; NaN beyond the last iteration. Arrays (room + 1,)."""

    quadratic: Array  # φ(v_k)
    residual: Array  # ‖r_k‖
    α: Array  # of the step that led to v_k
    β: Array  # of the direction that leads on
    watched: dict[str, Array]


class Solution(NamedTuple):
    """Where the iteration ended, why, and what it left on the way."""

    v: Array  # the last iterate, also where negative curvature ended it
    iterations: Array
    status: Array  # of STATUS; BUDGET where all iterations were used
    products: Array  # with A
    trace: Trace
    kept: Array  # iterates number ⌈5·1.3^j⌉ in ascending order, and the last one; (slots, D)
    kept_at: Array  # their numbers, -1 for a slot not used; (slots,)


def milestones(most: int) -> list[int]:
    """⌈5·1.3^j⌉ up to ``most``: the iterations whose iterates are worth keeping."""
    return list(takewhile(lambda n: n <= most, (math.ceil(5 * 1.3**j) for j in count())))


def conjugate_gradient(
    multiply: Callable[[Array], Array],
    g: Array,
    *,
    room: int,
    iterations: Array | float | None = None,
    start: Array | None = None,
    precondition: Callable[[Array], Array] = lambda r: r,
    tolerance: float = 0.0,
    progress: float = 0.0,
    conjugate: bool = True,
    watch: Callable[[Array, Array], dict[str, Any]] = lambda v, r: {},
) -> Solution:
    """Minimizes φ from ``start`` (else 0) in at most ``iterations`` iterations, and never more than ``room``.

    ``room`` is how long a trace there is memory for, a structural number; ``iterations`` may be traced. The iteration
    ends with ‖r‖ ≤ ``tolerance`` ‖g‖; or at iteration i > k where φ_i < 0 and (φ_i - φ_(i-k)) / φ_i < kε for
    k = max(10, ⌈0.1 i⌉) and ε = ``progress``, unless that is 0; or before a direction of no or negative curvature,
    pᵀAp ≤ 0. ``watch(v, r)`` gives further scalars for the trace. Without ``conjugate`` directions β is 0: steepest
    descent with the exact step size, whose error falls at least as ((κ - 1)/(κ + 1))^k.
    """
    most = room if iterations is None else jnp.minimum(iterations, room)
    at = milestones(room)
    # The slot after the last milestone is never one to move on from.
    next_kept, slots = jnp.array([*at, room + 1]), len(at) + 1
    eps = jnp.finfo(g.dtype).eps
    enough = tolerance * jnp.linalg.norm(g)

    v = jnp.zeros_like(g) if start is None else start
    moved = jnp.any(v != 0)
    r = g + jax.lax.cond(moved, multiply, jnp.zeros_like, v)
    y = precondition(r)

    def told(v, r, α, β):
        return Trace((r + g) @ v / 2, jnp.linalg.norm(r), α, β, watch(v, r))

    def put(arrays, values, k):
        return jax.tree.map(
            lambda array, value: jax.lax.dynamic_update_index_in_dim(array, value, k, 0), arrays, values
        )

    none = jnp.asarray(jnp.nan, g.dtype)
    first = told(v, r, none, none)
    trace = jax.tree.map(lambda value: jnp.full(room + 1, value), first)
    rest = r @ y
    ended = jnp.where(rest > 0, jnp.where(first.residual <= enough, CONVERGED, BUDGET), CONVERGED)
    carry = (
        jnp.asarray(0),  # i
        jnp.where(jnp.isfinite(rest), ended, NOT_FINITE),
        (v, r, -y, rest),
        trace,
        jnp.tile(v, (slots, 1)),
        jnp.full(slots, -1).at[0].set(0),
        jnp.asarray(0),  # the slot to keep the next iterate in
        jnp.asarray(0.0, g.dtype),  # the largest curvature met
    )

    def going(carry):
        i, status = carry[:2]
        return (i < most) & (status == BUDGET)

    def iterate(carry):
        i, status, (v, r, p, rest), trace, kept, kept_at, slot, largest = carry
        Ap = multiply(p)
        pAp, pp = p @ Ap, p @ p
        largest = jnp.maximum(largest, jnp.linalg.norm(Ap) / jnp.sqrt(pp))
        α = rest / pAp
        r_next = r + α * Ap
        y = precondition(r_next)
        rest_next = r_next @ y
        β = rest_next / rest if conjugate else jnp.zeros_like(rest)
        finite = jnp.isfinite(pAp) & (jnp.isfinite(rest_next) | (pAp <= 0))
        taken = finite & (pAp > 0)
        v, r, p, rest = jax.tree.map(
            lambda new, old: jnp.where(taken, new, old),
            (v + α * p, r_next, -y + β * p, rest_next),
            (v, r, p, rest),
        )

        row = told(v, r, α, β)
        trace = put(trace, row, i + 1)
        i = i + taken
        kept, kept_at = put((kept, kept_at), (v, jnp.where(taken, i, kept_at[slot])), slot)
        slot = slot + (taken & (i == next_kept[slot]))

        k = jnp.maximum(10, (i + 9) // 10)
        φ = row.quadratic
        slow = (i > k) & (φ < 0) & ((φ - trace.quadratic[jnp.maximum(i - k, 0)]) / φ < k * progress) & (progress > 0)
        status = jnp.where((row.residual <= enough) | (rest <= 0), CONVERGED, jnp.where(slow, SLOW, BUDGET))
        # A product is exact to ε‖A‖‖p‖: curvature within that is none at all.
        negative = jnp.where(pAp < -10 * eps * largest * pp, NEGATIVE, FLAT)
        status = jnp.where(taken, status, jnp.where(finite, negative, NOT_FINITE))
        return i, status, (v, r, p, rest), trace, kept, kept_at, slot, largest

    i, status, (v, _, _, _), trace, kept, kept_at, _, _ = jax.lax.while_loop(going, iterate, carry)
    trace = jax.tree.map(lambda column: jnp.where(jnp.arange(room + 1) <= i, column, jnp.nan), trace)
    failed = (status == NEGATIVE) | (status == FLAT)
    return Solution(v, i, status, moved + i + failed, trace, kept, kept_at)


def tridiagonal(trace: Trace) -> Array:
    """T (room, room), what M^(-1/2) A M^(-1/2) is in the Lanczos basis that conjugate gradients walk through.

    Its eigenvalues are Ritz values; the extreme ones soon are A's as far as g sees them (Golub & Van Loan 2013, §11.3).
    Rows beyond the last iteration are 1/α₁ on the diagonal, which lies among the eigenvalues.
    """
    α, β = trace.α[1:], trace.β[1:]
    done = jnp.isfinite(α)
    linked = done[1:]
    α, β = jnp.where(done, α, α[0]), jnp.where(done, β, 0.0)
    diagonal = (1 / α).at[1:].add(jnp.where(linked, β[:-1] / α[:-1], 0.0))
    beside = jnp.where(linked, jnp.sqrt(β[:-1]) / α[:-1], 0.0)
    return jnp.diag(diagonal) + jnp.diag(beside, 1) + jnp.diag(beside, -1)


class MatrixFree(NamedTuple):
    """A curvature matrix C known by its products, with the l2 term's Hessian beside it: what `Dense` is written out.

    C, its matrix and its eigenvalues are the loss's (the Hessian's are J's); whatever is multiplied or solved with adds
    ``l2``, the diagonal that the l2 term contributes.
    """

    product: Callable[[Array], Array]  # v ↦ Cv, both (D,)
    at: Array  # the weights where C is taken (D,)
    l2: Array | float = 0.0  # (D,) or a number

    @property
    def matrix(self) -> Array:
        """C written out (D, D) by D products, some at a time."""
        C = jax.lax.map(self.product, jnp.eye(self.at.shape[0], dtype=self.at.dtype), batch_size=TOGETHER)
        return (C + C.T) / 2

    def multiply(self, v: Array) -> Array:
        """(C + L) v for L = diag(l2)."""
        return self.product(v) + self.l2 * v

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        """(C + L + ηI)⁻¹ v by conjugate gradients, and whether they failed: then it is not to be used.

        They fail before a direction of no or negative curvature, or where after 10 D iterations the residual is not
        below √ε ‖v‖. Many small eigenvalues of different sizes do that in finite precision.
        """

        def multiply(u):
            return self.multiply(u) + damping * u

        eps = float(jnp.finfo(v.dtype).eps)
        found = conjugate_gradient(multiply, -v, room=10 * v.shape[0], tolerance=eps ** (2 / 3))
        residual = jnp.linalg.norm(multiply(found.v) - v)
        return found.v, ~(residual <= eps**0.5 * jnp.linalg.norm(v))

    def eigenvalues(self) -> Array:
        """Ascending eigenvalues of C, shape (D,), by D products."""
        return jnp.linalg.eigvalsh(self.matrix)
