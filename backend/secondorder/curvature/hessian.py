r"""The Hessian H = ∇²J of the cost, exactly, by forward-over-reverse differentiation (lecture, interpretation 1)."""

import jax

from secondorder.cg import MatrixFree
from secondorder.core import Objective
from secondorder.solve import Dense


def hessian(J: Objective, w: jax.Array) -> Dense:
    """H (D, D) of J, its l2 term included; costs D matrix-vector products."""
    H = jax.hessian(J)(w)
    return Dense((H + H.T) / 2)


def hessian_products(J: Objective, w: jax.Array) -> MatrixFree:
    """H of J, its l2 term included, by its products Hv: the JVP of the gradient (Pearlmutter 1994), linearized once."""
    return MatrixFree(jax.linearize(J.gradient, w)[1], w)
