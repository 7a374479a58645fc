r"""The Fisher matrix F = E[Dw Dwᵀ], x from the data and targets t ~ r(· | x) from the model's own predictions.

`fisher` takes the expectation over t exactly: the gradients for all targets that the likelihood can produce, weighted
by their probabilities. `sampled_fisher` draws some for each example: the pullback sampling trick. (Targets from the
data instead would give the empirical Fisher, which is another matrix.)
"""

import math

import jax

from secondorder.core import Objective
from secondorder.pullback import pseudo_gradients
from secondorder.solve import Dense


def fisher(J: Objective, w: jax.Array) -> Dense:
    """F (D, D) of the loss, from its factor with a row √r(t|x) ∇_w log r(t|x) / √B for each example and target."""
    assert J.problem.likelihood is not None, f"{J.problem.name} has no predictive distribution"
    R = J.weighted_jacobian(w, J.problem.likelihood.scores)
    return Dense(R.T @ R, J.problem.l2_diagonal(), R)


def sampled_fisher(J: Objective, w: jax.Array, key: jax.Array, samples: int = 1) -> Dense:
    """F (D, D) from ``samples`` targets an example: the mean of their Dw Dwᵀ, which tends to F as 1/√samples."""
    Dw = jax.vmap(lambda key: pseudo_gradients(J, w, key))(jax.random.split(key, samples))
    R = Dw.reshape(-1, w.shape[0]) / math.sqrt(samples * Dw.shape[1])
    return Dense(R.T @ R, J.problem.l2_diagonal(), R)
