r"""The pullback sampling trick (lecture): random vectors Dw with covariance G, by backpropagating random Dz ~ (0, Gz).

============  ======================================================================  ==============
symbol        meaning                                                                 shape
============  ======================================================================  ==============
``Dz``        pseudo-gradient of the outputs, one row an example                      ``(B, K)``
``Ds_l``      pseudo-gradient of layer l's pre-activations, one row an example        ``(B, out)``
``Dw``        pseudo-gradient of the weights: Jzwᵀ Dz                                 ``(D,)``
============  ======================================================================  ==============
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Objective

Array = jax.Array


def sample_outputs(J: Objective, z: Array, key: Array) -> Array:
    """Dz (B, K): the gradient of -log r(t | z) for one target t drawn from the model, for each example by itself."""
    likelihood = J.problem.likelihood
    assert likelihood is not None, f"{J.problem.name} has no predictive distribution"
    return likelihood.sample(likelihood.noise(key, z.shape, z.dtype), z)


def pseudo_gradient(J: Objective, w: Array, key: Array) -> Array:
    """Dw (D,) with mean 0 and covariance G: one VJP over the whole batch, Σ_i Jᵢᵀ Dzᵢ / √B."""
    z, pull_back = jax.vjp(lambda w: J.problem.outputs(w, J.batch.inputs), w)
    return pull_back(sample_outputs(J, z, key) / math.sqrt(len(z)))[0]


def pseudo_gradients(J: Objective, w: Array, key: Array) -> Array:
    """Dw of each example by itself, shape (B, D): the mean of their outer products tends to G."""
    z = J.problem.outputs(w, J.batch.inputs)
    Dz = sample_outputs(J, z, key)

    def of_one(x, dz):
        return jax.vjp(lambda w: J.problem.outputs(w, x[None])[0], w)[1](dz)[0]

    return jax.vmap(of_one)(J.batch.inputs, Dz)


class Recorded(NamedTuple):
    """What each layer of a network saw, and how a gradient in its outputs reaches each layer's pre-activations."""

    z: Array
    inputs: list[Array]  # a_(l-1) (B, in), without the 1
    pull_back: jax.tree_util.Partial  # Dz (B, K) -> [Ds_l (B, out)]


def record(J: Objective, w: Array) -> Recorded:
    """The forward pass of a network, ready to be pulled back through."""
    network = J.problem.network
    assert network is not None, f"{J.problem.name} has no layers"
    x = J.batch.inputs
    offsets = [jnp.zeros((len(x), out), w.dtype) for out, _ in network.shapes]
    z, pull_back, inputs = jax.vjp(lambda offsets: network.record(w, x, offsets), offsets, has_aux=True)
    return Recorded(z, inputs, jax.tree_util.Partial(lambda Dz: pull_back(Dz)[0]))


def moments(J: Objective, seen: Recorded, quadratic: Callable[[list[Array]], Any], exact: bool) -> Any:
    """What ``quadratic`` makes of the layers' Ds: a tree of second moments of theirs, in expectation over the targets.

    From one target an example, drawn with the step's key; or ``exact``, with Dz the k-th row of each example's
    Gz^(1/2), one k at a time: their outer products add up to Gz.
    """
    likelihood = J.problem.likelihood
    assert likelihood is not None, f"{J.problem.name} has no outputs with a convex loss"
    if not exact:
        noise = J.noise
        if noise is None:
            assert J.key is not None, "sampling needs the step's key"
            noise = likelihood.noise(J.key, seen.z.shape, seen.z.dtype)
        return quadratic(seen.pull_back(likelihood.sample(noise, seen.z)))
    rows = jax.vmap(likelihood.root)(seen.z).swapaxes(0, 1)

    def of_row(Dz):
        return quadratic(seen.pull_back(Dz))

    none = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(of_row, rows[0]))
    return jax.lax.scan(lambda total, Dz: (jax.tree.map(jnp.add, total, of_row(Dz)), None), none, rows)[0]
