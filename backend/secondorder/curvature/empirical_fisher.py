r"""The empirical Fisher matrix E[∇L ∇Lᵀ], x and targets t both from the data: second moments of the gradients.

It is named after F, and is not F = E[Dw Dwᵀ], whose targets are drawn from the model: the two agree where the model
predicts the data's own distribution and nowhere else. Away from the minimum it grows with the residuals, which F never
sees; where the data are fitted exactly it vanishes (Kunstner, Balles & Hennig 2019).
"""

import math

import jax
import jax.numpy as jnp

from secondorder.cg import MatrixFree
from secondorder.core import Objective
from secondorder.solve import Dense


def empirical_fisher(J: Objective, w: jax.Array) -> Dense:
    """The empirical Fisher (D, D) of the loss, from its factor with a row ∇_w L_i / √B for each example."""
    problem, likelihood = J.problem, J.problem.likelihood
    assert likelihood is not None, f"{problem.name} has no predictive distribution"

    def loss_of_one(w, x, t):
        return likelihood.loss(problem.outputs(w, x[None])[0], t)

    gradients = jax.vmap(jax.grad(loss_of_one), (None, 0, 0))(w, J.batch.inputs, J.batch.targets)
    R = gradients / math.sqrt(len(gradients))
    return Dense(R.T @ R, problem.l2_diagonal(), R)


def empirical_fisher_products(J: Objective, w: jax.Array) -> MatrixFree:
    """The empirical Fisher of the loss by its products E[∇L (∇Lᵀv)], ∇L = Jzwᵀ ∇_z L: a JVP and a VJP.

    The forward pass is made once, whatever the number of products.
    """
    problem, likelihood = J.problem, J.problem.likelihood
    assert likelihood is not None, f"{problem.name} has no predictive distribution"
    z, push_forward = jax.linearize(lambda w: problem.outputs(w, J.batch.inputs), w)
    pull_back = jax.linear_transpose(push_forward, w)
    Dz = jax.vmap(jax.grad(likelihood.loss))(z, J.batch.targets)

    def product(v):
        along = jnp.sum(Dz * push_forward(v), axis=1, keepdims=True)
        return pull_back(Dz * along / len(z))[0]

    return MatrixFree(product, w, problem.l2_diagonal())
