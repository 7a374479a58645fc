r"""The Hessian H = ∇²J of the cost, exactly, by forward-over-reverse differentiation (lecture, interpretation 1)."""

import jax

from secondorder.core import Objective
from secondorder.solve import Dense


def hessian(J: Objective, w: jax.Array) -> Dense:
    """H (D, D) of J, its l2 term included; costs D matrix-vector products."""
    H = jax.hessian(J)(w)
    return Dense((H + H.T) / 2)
