r"""Preconditioning as a change of coordinates (lecture, interpretation 2).

Gradient descent on J̃(w̃) = J(Rw̃ + b) is, seen from w = Rw̃ + b, w ← w - αRRᵀ∇J(w); its Hessian is H̃ = RᵀHR. So a
preconditioner (C + ηI)⁻¹ is a choice of coordinates: any R with RRᵀ = (C + ηI)⁻¹, and any b.
"""

import jax
import jax.numpy as jnp

from secondorder.core import Objective
from secondorder.curvature.empirical_fisher import empirical_fisher
from secondorder.curvature.fisher import fisher
from secondorder.curvature.gauss_newton import gauss_newton
from secondorder.curvature.hessian import hessian
from secondorder.curvature.pullback_diagonal import Diagonal, exact_diagonal
from secondorder.solve import inverse_cholesky, inverse_square_root

MATRICES = {
    "identity": lambda J, w: Diagonal(jnp.ones_like(w)),
    "diagonal": exact_diagonal,
    "hessian": hessian,
    "gauss-newton": gauss_newton,
    "fisher": fisher,
    "empirical-fisher": empirical_fisher,
}
FACTORS = {"cholesky": inverse_cholesky, "square-root": inverse_square_root}
INDEFINITE = "the damped matrix C + ηI is not positive definite"


def coordinates(J: Objective, w: jax.Array, matrix: str, factor: str, η: jax.Array) -> tuple[jax.Array, jax.Array]:
    """R (D, D) with RRᵀ = (C + L + ηI)⁻¹ at w, L the Hessian of the l2 term, and whether that is no positive definite
    matrix: then R is not to be used.
    """
    C = MATRICES[matrix](J, w)
    R, indefinite = FACTORS[factor](C.matrix + (C.l2 + η) * jnp.eye(w.shape[0], dtype=w.dtype))
    return R.astype(w.dtype), indefinite  # a matrix may be more precise than the weights
