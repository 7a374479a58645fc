r"""The Fisher matrix F = E[Dw Dwᵀ], x from the data and targets t ~ r(· | x) from the model's own predictions.

The expectation over t is exact: the gradients for all targets that the likelihood can produce, weighted by their
probabilities. (Targets from the data instead would give the empirical Fisher, which is another matrix.)
"""

import jax

from secondorder.core import Objective
from secondorder.solve import Dense


def fisher(J: Objective, w: jax.Array) -> Dense:
    """F (D, D) of the loss, from its factor with a row √r(t|x) ∇_w log r(t|x) / √B for each example and target."""
    assert J.problem.likelihood is not None, f"{J.problem.name} has no predictive distribution"
    R = J.weighted_jacobian(w, J.problem.likelihood.scores)
    return Dense(R.T @ R, J.problem.l2_diagonal(), R)
