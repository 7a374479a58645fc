r"""diag(E_i[∇J_i ⊙ ∇J_i]), J_i one example's loss for the target in the data: the diagonal of the empirical Fisher.

Not of F, whose targets are drawn from the model; but it scales like the curvature, and costs one backward pass. Martens
2010 (§4.7) preconditions conjugate gradients with it.
"""

import jax
import jax.numpy as jnp

from secondorder.core import Batch, Objective
from secondorder.network import homogeneous
from secondorder.pullback import record

Array = jax.Array


def empirical_diagonal(J: Objective, w: Array) -> Array:
    """The mean squared gradient of each weight (D,), without the l2 term.

    Of a layer s = W̄ā an example's gradient is Ds āᵀ, whose square is Ds² (ā²)ᵀ: so the mean is one matrix product, and
    no example's gradient is ever formed.
    """
    inputs, targets = J.batch
    network, likelihood = J.problem.network, J.problem.likelihood
    if network is None or likelihood is None:

        def of_one(x, t):
            return jax.grad(J.problem.loss)(w, Batch(x[None], t[None]))

        return jnp.mean(jax.vmap(of_one)(inputs, targets) ** 2, axis=0)
    seen = record(J, w)
    Ds = seen.pull_back(jax.vmap(jax.grad(likelihood.loss))(seen.z, targets))
    squares = [(ds**2).T @ homogeneous(a) ** 2 / len(a) for ds, a in zip(Ds, seen.inputs, strict=True)]
    return network.join(squares)


def preconditioner(J: Objective, w: Array, damping: Array | float) -> Array:
    """M = (diag(E_i[∇J_i ⊙ ∇J_i]) + λ + l2)^0.75, its diagonal (D,): Martens 2010, §4.7."""
    M = (empirical_diagonal(J, w) + damping + J.problem.l2_diagonal()) ** 0.75
    return jnp.where(M > 0, M, 1.0)  # undamped, a weight that no example depends on has nothing to be scaled by
