r"""The block-diagonal of G, exactly: one block a layer, layers taken as independent (the lecture's approximation 1).

    G_ll = E[vec(DW̄_l) vec(DW̄_l)ᵀ] = E[Ds_l Ds_lᵀ ⊗ ā āᵀ],    ā the inputs of layer l with their 1

in the order of the flat vector, whose weights stand row by row (the lecture's vec stacks columns: there the factors are
the other way round). The expectation over targets is exact; that over the two factors is not taken apart as K-FAC does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Layers, Objective
from secondorder.network import homogeneous
from secondorder.pullback import moments, record
from secondorder.solve import eigenvalues, solve_positive

Array = jax.Array


class BlockDiagonal(NamedTuple):
    """Some symmetric blocks as a `core.Curvature`."""

    network: Layers
    blocks: list[Array]  # G_ll (n_l, n_l)
    l2: Array  # (D,), the diagonal of the l2 term's Hessian

    @property
    def matrix(self) -> Array:
        return jax.scipy.linalg.block_diag(*self.blocks)

    def multiply(self, v: Array) -> Array:
        parts = [block @ v[part] for block, part in zip(self.blocks, self.network.slices, strict=True)]
        return jnp.concatenate(parts) + self.l2 * v

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        solved = [
            solve_positive(block + jnp.diag(self.l2[part] + damping), v[part])
            for block, part in zip(self.blocks, self.network.slices, strict=True)
        ]
        return jnp.concatenate([x for x, _ in solved]), jnp.any(jnp.stack([singular for _, singular in solved]))

    def eigenvalues(self) -> Array:
        return jnp.sort(jnp.concatenate([eigenvalues(block) for block in self.blocks]))


def exact_block(a: Array, P: Array) -> Array:
    """E[P ⊗ ā āᵀ] (n_l, n_l) from a layer's inputs a (B, in) and P = E[Ds Dsᵀ | x] of each example (B, out, out)."""
    ā, out = homogeneous(a), P.shape[1]
    inputs = jnp.einsum("bi,bj->bij", ā, ā).reshape(len(ā), -1)
    block = (P.reshape(len(P), -1).T @ inputs / len(ā)).reshape(out, out, ā.shape[1], ā.shape[1])
    return block.swapaxes(1, 2).reshape(out * ā.shape[1], -1)


def exact_blocks(J: Objective, w: Array, layers: Sequence[int]) -> list[Array]:
    """G_ll on the batch of some layers, numbered from 0."""
    seen = record(J, w)
    P = moments(J, seen, lambda Ds: [jnp.einsum("bi,bj->bij", Ds[i], Ds[i]) for i in layers], exact=True)
    return [exact_block(seen.inputs[i], p) for i, p in zip(layers, P, strict=True)]


def block_diagonal(J: Objective, w: Array) -> BlockDiagonal:
    """The blocks of G on the batch."""
    network = J.problem.network
    assert network is not None, f"{J.problem.name} has no layers"
    blocks = exact_blocks(J, w, range(len(network.slices)))
    return BlockDiagonal(network, blocks, J.problem.l2_diagonal() * jnp.ones_like(w))
