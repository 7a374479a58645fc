r"""The generalized Gauss-Newton matrix G = E_x[Jzwᵀ Gz Jzw], Gz the Hessian of the loss in the outputs."""

import jax

from secondorder.cg import MatrixFree
from secondorder.core import Objective
from secondorder.solve import Dense


def gauss_newton(J: Objective, w: jax.Array) -> Dense:
    """G (D, D) of the loss, from its factor with rows Gz^(1/2) Jzw / √B."""
    assert J.problem.likelihood is not None, f"{J.problem.name} has no outputs with a convex loss"
    R = J.weighted_jacobian(w, J.problem.likelihood.root)
    return Dense(R.T @ R, J.problem.l2_diagonal(), R)


def gauss_newton_products(J: Objective, w: jax.Array) -> MatrixFree:
    """G of the loss by its products Gv = E_x[Jzwᵀ (Gz (Jzw v))]: a JVP, Gz, and a VJP (Schraudolph 2002).

    The forward pass is made once, whatever the number of products; one of them costs about as much as a gradient.
    """
    likelihood = J.problem.likelihood
    assert likelihood is not None, f"{J.problem.name} has no outputs with a convex loss"
    z, push_forward = jax.linearize(lambda w: J.problem.outputs(w, J.batch.inputs), w)
    pull_back = jax.linear_transpose(push_forward, w)

    def product(v):
        Gz_Jv = jax.vmap(likelihood.multiply)(z, push_forward(v))
        return pull_back(Gz_Jv / len(z))[0]

    return MatrixFree(product, w, J.problem.l2_diagonal())
