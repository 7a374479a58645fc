r"""Fully connected networks: s_l = W_l a_(l-1) + b_l, a_l = tanh(s_l), the last layer linear.

All weights are one flat vector: layer after layer, each the matrix [W_l b_l] of shape (out, in + 1), row by row.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def sizes(widths: Sequence[int]) -> list[tuple[int, int]]:
    """The shape (out, in + 1) of each layer's [W b]."""
    return [(out, fan_in + 1) for fan_in, out in pairwise(widths)]


def dimension(widths: Sequence[int]) -> int:
    """Number of weights, biases included."""
    return sum(rows * columns for rows, columns in sizes(widths))


def layers(w: Any, widths: Sequence[int]) -> list[Any]:
    """The matrices [W_l b_l] as views of the flat vector."""
    shapes = sizes(widths)
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    parts = (w[end - rows * columns : end] for end, (rows, columns) in zip(ends, shapes, strict=True))
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def forward(w: jax.Array, x: jax.Array, widths: Sequence[int]) -> jax.Array:
    """Outputs z (B, widths[-1]) for inputs x (B, widths[0])."""
    *hidden, last = layers(w, widths)
    a = x
    for Wb in hidden:
        a = jnp.tanh(a @ Wb[:, :-1].T + Wb[:, -1])
    return a @ last[:, :-1].T + last[:, -1]


def initial(widths: Sequence[int], seed: int, dtype: str) -> np.ndarray:
    """Weights N(0, 1/fan-in), biases 0, from the seed."""
    rng = np.random.default_rng([seed, 1])
    blocks = []
    for rows, columns in sizes(widths):
        W = rng.standard_normal((rows, columns - 1)) / np.sqrt(columns - 1)
        blocks.append(np.concatenate([W, np.zeros((rows, 1))], axis=1).ravel())
    return np.concatenate(blocks).astype(dtype)


def parameters(w: Any, widths: Sequence[int]) -> dict[str, Any]:
    """W1 (out, in), b1 (out,), W2, … by name."""
    named = {}
    for number, Wb in enumerate(layers(w, widths), start=1):
        named[f"W{number}"], named[f"b{number}"] = Wb[:, :-1], Wb[:, -1]
    return named
