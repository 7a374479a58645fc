r"""Fully connected networks as explicit layers: s_l = W̄_l ā_(l-1), a_l = tanh(s_l), the last layer linear.

============  ==========================================================  =================
symbol        meaning                                                     shape
============  ==========================================================  =================
``W̄_l``       [W_l b_l], weights and bias of layer l = 1 … L              ``(out, in + 1)``
``ā_(l-1)``   a layer's inputs with a 1 appended                          ``(B, in + 1)``
``s_l``       pre-activations, plus an offset where one is given          ``(B, out)``
============  ==========================================================  =================

All weights are one flat vector: layer after layer, each W̄_l row by row. The gradient of a function of the outputs in
the offsets of layer l is Ds_l, and then DW̄_l = Ds_lᵀ ā_(l-1): what K-FAC is made of.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CONNECTIONS = 15  # inputs of a unit that "sparse" initial weights leave it (Martens 2010, section 5)
INITIAL: dict[str, Any] = {"title": "initial weights: N(0, 1/fan-in), or N(0, 1) from 15 inputs a unit",
                           "enum": ["normal", "sparse"]}  # fmt: skip


RATES = {"float32": 5.0, "float64": 2.5}  # matrix products run at this many times the rate of other arithmetic


class Network(NamedTuple):
    """The layers of a network; ``linear`` names hidden layers (from 1) that have no tanh, such as a code layer."""

    widths: tuple[int, ...]
    linear: tuple[int, ...] = ()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape (out, in + 1) of each layer's W̄."""
        return [(out, fan_in + 1) for fan_in, out in pairwise(self.widths)]

    @property
    def dimension(self) -> int:
        """Number of weights, biases included."""
        return sum(rows * columns for rows, columns in self.shapes)

    @property
    def slices(self) -> list[slice]:
        """Where each layer's weights stand in the flat vector."""
        ends = np.cumsum([0] + [rows * columns for rows, columns in self.shapes]).tolist()
        return [slice(low, high) for low, high in pairwise(ends)]

    def work(self, examples: int, dtype: str) -> float:
        """`Problem.work`: 6 operations an example and weight, counted by the rate at which matrix products run."""
        return 6.0 * examples * self.dimension / RATES[dtype]

    def split(self, w: Any) -> list[Any]:
        """The matrices W̄_l as views of the flat vector."""
        return [w[part].reshape(shape) for part, shape in zip(self.slices, self.shapes, strict=True)]

    def join(self, matrices: Sequence[Any]) -> jax.Array:
        """The flat vector of some W̄_l: what `split` takes apart."""
        return jnp.concatenate([jnp.ravel(matrix) for matrix in matrices])

    def record(self, w: jax.Array, x: jax.Array, offsets: Sequence[Any] | None = None) -> tuple[jax.Array, list]:
        """Outputs z (B, K) for inputs x (B, in), and each layer's inputs a_(l-1) (B, in) without the 1.

        ``offsets`` (B, out), one a layer, are added to the pre-activations.
        """
        a, inputs = x, []
        for number, W in enumerate(self.split(w), start=1):
            inputs.append(a)
            s = a @ W[:, :-1].T + W[:, -1]
            if offsets is not None:
                s = s + offsets[number - 1]
            a = s if number in self.linear or number == len(self.widths) - 1 else jnp.tanh(s)
        return a, inputs

    def outputs(self, w: jax.Array, x: jax.Array) -> jax.Array:
        """Outputs z (B, K) for inputs x (B, in)."""
        return self.record(w, x)[0]

    def initial(self, seed: int, dtype: str, kind: str = "normal") -> np.ndarray:
        """Biases 0 and weights from the seed: N(0, 1/fan-in), or "sparse": N(0, 1) from 15 inputs of each unit."""
        rng = np.random.default_rng([seed, 1])
        blocks = []
        for rows, columns in self.shapes:
            fan_in = columns - 1
            W = rng.standard_normal((rows, fan_in))
            if kind == "sparse":
                rank = rng.random((rows, fan_in)).argsort(axis=1).argsort(axis=1)
                W = np.where(rank < CONNECTIONS, W, 0.0)
            else:
                W = W / np.sqrt(fan_in)
            blocks.append(np.concatenate([W, np.zeros((rows, 1))], axis=1).ravel())
        return np.concatenate(blocks).astype(dtype)

    def parameters(self, w: Any) -> dict[str, Any]:
        """W1 (out, in), b1 (out,), W2, … by name."""
        named = {}
        for number, W in enumerate(self.split(w), start=1):
            named[f"W{number}"], named[f"b{number}"] = W[:, :-1], W[:, -1]
        return named


def homogeneous(a: jax.Array) -> jax.Array:
    """ā: a (B, in) with a column of ones appended."""
    return jnp.concatenate([a, jnp.ones_like(a[:, :1])], axis=1)
