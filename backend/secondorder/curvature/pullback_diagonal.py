r"""The diagonal of G, by the pullback sampling trick: Ĝ_ii = 1/S Σ_s (Dw_i)² (lecture), or exactly, to compare with.

It takes the entries of Dw as uncorrelated; then Ĝ⁻¹ is the inverse of each entry.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Objective
from secondorder.network import homogeneous
from secondorder.pullback import moments, pseudo_gradient, record

Array = jax.Array


class Diagonal(NamedTuple):
    """A diagonal matrix C = diag(d), d ≥ 0, as a `core.Curvature`."""

    diagonal: Array  # d (D,)
    l2: Array | float = 0.0  # (D,) or a number: the diagonal of the l2 term's Hessian

    @property
    def matrix(self) -> Array:
        return jnp.diag(self.diagonal)

    def multiply(self, v: Array) -> Array:
        return (self.diagonal + self.l2) * v

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        """v / (d + l2 + η), and whether one of those entries is 0."""
        entries = self.diagonal + self.l2 + damping
        return v / entries, ~jnp.all(entries > 0)

    def eigenvalues(self) -> Array:
        return jnp.sort(self.diagonal)

    def spectrum(self) -> tuple[Array, Array]:
        """Ascending eigenvalues, and the axes in their order as the columns of Q."""
        order = jnp.argsort(self.diagonal)
        return self.diagonal[order], jnp.eye(len(order), dtype=self.diagonal.dtype)[:, order]


def pullback_diagonal(J: Objective, w: Array, key: Array, samples: int = 1) -> Diagonal:
    """The mean of Dw² over some samples, each Dw the whole batch's: one VJP, with covariance G already."""
    squares = jax.lax.map(lambda key: pseudo_gradient(J, w, key) ** 2, jax.random.split(key, samples))
    return Diagonal(jnp.mean(squares, axis=0), J.problem.l2_diagonal())


def exact_diagonal(J: Objective, w: Array) -> Diagonal:
    """diag(G), with the expectation over the targets taken: E[Σ_k (Jzwᵀ R_k)²], R_k the rows of Gz^(1/2).

    In a layer s = W̄ā the squares of Ds āᵀ are Ds² (ā²)ᵀ: one matrix product for each output, and no example by itself.
    """
    network, likelihood = J.problem.network, J.problem.likelihood
    assert likelihood is not None, f"{J.problem.name} has no outputs with a convex loss"
    if network is None:
        squares = jnp.sum(J.weighted_jacobian(w, likelihood.root) ** 2, axis=0)
    else:
        seen = record(J, w)

        def squared(Ds):
            return [(d**2).T @ homogeneous(a) ** 2 / len(a) for d, a in zip(Ds, seen.inputs, strict=True)]

        squares = network.join(moments(J, seen, squared, exact=True))
    return Diagonal(squares, J.problem.l2_diagonal())
