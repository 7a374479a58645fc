r"""The generalized Gauss-Newton matrix G = E_x[Jzwᵀ Gz Jzw], Gz the Hessian of the loss in the outputs."""

import jax

from secondorder.core import Objective
from secondorder.solve import Dense


def gauss_newton(J: Objective, w: jax.Array) -> Dense:
    """G (D, D) of the loss, from its factor with rows Gz^(1/2) Jzw / √B."""
    assert J.problem.likelihood is not None, f"{J.problem.name} has no outputs with a convex loss"
    R = J.weighted_jacobian(w, J.problem.likelihood.root)
    return Dense(R.T @ R, J.problem.l2_diagonal(), R)
