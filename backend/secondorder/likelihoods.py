r"""Losses on outputs that are negative log-likelihoods: squared error, logistic, softmax.

Each works on one example's outputs z (K,), and gives

- ``loss(z, t)``: L = -log r(t | z) up to a constant, summed over outputs;
- ``root(z)``: a matrix R (K, K) with RᵀR = Gz, the Hessian of L in z (which does not depend on t for these);
- ``multiply(z, u)``: Gz u, without forming Gz;
- ``sample(noise, z)``: Dz, the gradient of -log r(t | z) in z for one target t drawn from the model: the lecture's
  pseudo-gradient, with mean 0 and covariance Gz (of several examples at once where z has more axes in front);
- ``noise(key, shape, dtype)``: the random numbers that it takes for z of that shape, whatever z is: drawing them can
  be dearer than all the rest, and then lanes share them;
- ``scores(z)``: a matrix (rows, K) whose rows are the gradients of -log r(t | z) in z for each target t that the model
  can produce, times the square root of t's probability: its Gram matrix is the Fisher matrix of the outputs. It is
  computed from the definition E[Dz Dzᵀ], not from Gz; that the two agree is the lecture's F = G.
"""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


class SquaredError:
    """L = ½‖z - t‖²: a Gaussian with unit variance. Gz = I."""

    def loss(self, z: Array, t: Array) -> Array:
        return jnp.sum((z - t) ** 2) / 2

    def root(self, z: Array) -> Array:
        return jnp.eye(z.shape[0], dtype=z.dtype)

    def multiply(self, z: Array, u: Array) -> Array:
        return u

    def noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        return jax.random.normal(key, shape, dtype)

    def sample(self, noise: Array, z: Array) -> Array:
        return noise

    def scores(self, z: Array) -> Array:
        # A unit Gaussian's second moments are those of t = z ± √K e_k, each of the 2K points with weight 1/2K.
        k = z.shape[0]
        steps = jnp.sqrt(k) * jnp.concatenate([jnp.eye(k, dtype=z.dtype), -jnp.eye(k, dtype=z.dtype)])
        return steps / jnp.sqrt(2 * k)


@jax.custom_jvp
def _softplus(z: Array) -> Array:
    """log(1 + e^z). Its derivative is said to be σ(z): differentiating the formula costs twice as much."""
    return jnp.maximum(z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z)))


_softplus.defjvps(lambda dz, _, z: jax.nn.sigmoid(z) * dz)


class Logistic:
    """L = Σ_k log(1 + e^z_k) - t_k z_k, targets 0 or 1 (or a probability). Gz = diag(p (1 - p)), p = σ(z)."""

    def loss(self, z: Array, t: Array) -> Array:
        return jnp.sum(_softplus(z) - t * z)

    def root(self, z: Array) -> Array:
        return jnp.diag(jnp.sqrt(jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)))

    def multiply(self, z: Array, u: Array) -> Array:
        return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z) * u

    def noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        return jax.random.uniform(key, shape, dtype)

    def sample(self, noise: Array, z: Array) -> Array:
        p = jax.nn.sigmoid(z)
        return p - (noise < p)

    def scores(self, z: Array) -> Array:
        # The outputs are independent, so cross terms vanish in expectation: for t_k = 1 (probability p) the gradient is
        # p - 1, for t_k = 0 it is p.
        p, q = jax.nn.sigmoid(z), jax.nn.sigmoid(-z)
        return jnp.concatenate([jnp.diag(-q * jnp.sqrt(p)), jnp.diag(p * jnp.sqrt(q))])


class Softmax:
    """L = log Σ_k e^z_k - z_t, targets a class number. Gz = diag(p) - p pᵀ, p = softmax(z)."""

    def loss(self, z: Array, t: Array) -> Array:
        return jax.nn.logsumexp(z) - z[t]

    def root(self, z: Array) -> Array:
        # RᵀR = (I - p1ᵀ) diag(p) (I - 1pᵀ) = diag(p) - p pᵀ
        p = jax.nn.softmax(z)
        return jnp.sqrt(p)[:, None] * (jnp.eye(z.shape[0], dtype=z.dtype) - p)

    def multiply(self, z: Array, u: Array) -> Array:
        p = jax.nn.softmax(z)
        return p * (u - p @ u)

    def noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        return jax.random.gumbel(key, shape, dtype)

    def sample(self, noise: Array, z: Array) -> Array:
        t = jnp.argmax(z + noise, axis=-1)  # distributed as softmax(z)
        return jax.nn.softmax(z) - jax.nn.one_hot(t, z.shape[-1], dtype=z.dtype)

    def scores(self, z: Array) -> Array:
        p = jax.nn.softmax(z)
        return jnp.sqrt(p)[:, None] * (p - jnp.eye(z.shape[0], dtype=z.dtype))
