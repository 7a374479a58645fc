"""Networks small enough to be written out, and what a pass through one gives, by hand in numpy."""

from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from secondorder.core import Batch, Data, Objective, Problem, option, register
from secondorder.likelihoods import Logistic, Softmax, SquaredError
from secondorder.network import Network
from tests.oracles import SMALL, small

LIKELIHOODS = {"squared-error": SquaredError(), "logistic": Logistic(), "softmax": Softmax()}
CATALOGUED = [name for name in SMALL if name not in ("quadratic", "logistic-cost")]


@register
class Small(Problem):
    """A network on random inputs in general position, so that its factors have full rank undamped."""

    name = "small"
    kind = "network"
    predicts = True

    widths: tuple = option((4, 5, 4, 3), "layer widths")
    linear: tuple = option((), "linear hidden layers")
    loss_on: str = option("squared-error", "likelihood")
    size: int = option(60, "examples")
    l2: float = option(0.0, "l2")

    @property
    def likelihood(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return LIKELIHOODS[self.loss_on]

    @property
    def network(self):
        return Network(self.widths, self.linear)

    @property
    def dimension(self):
        return self.network.dimension

    @property
    def examples(self):
        return self.size

    def data(self, seed):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((self.size, self.widths[0]))
        t = rng.integers(0, 2, (self.size, self.widths[-1])).astype(float)
        return Data(Batch(x, t.argmax(axis=1) if self.loss_on == "softmax" else t))

    def start(self, seed):
        return np.random.default_rng(seed).standard_normal(self.dimension) * 0.6

    def parameters(self, w):
        return self.network.parameters(w)

    def outputs(self, w, inputs):
        return self.network.outputs(w, inputs)

    def l2_diagonal(self):
        return self.l2


def own(**options: Any) -> tuple[Any, Any]:
    """J of a small network of one's own, and weights."""
    problem = Small(**options)
    return Objective(problem, problem.data(0).train), problem.start(1)


def taken(name: str) -> tuple[Any, Any]:
    """A catalogued network as the derivative tests take it."""
    return small(name)


def by_hand(J: Objective, w: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Each layer's ā (B, in + 1), its Jacobian ∂z/∂s_l (B, K, out), and Gz (B, K, K): forward and backward by hand."""
    network: Any = J.problem.network
    matrices = network.split(np.asarray(w, float))
    a, inputs, slopes = np.asarray(J.batch.inputs, float), [], []
    for number, W in enumerate(matrices, start=1):
        inputs.append(np.column_stack([a, np.ones(len(a))]))
        s = inputs[-1] @ W.T
        linear = number in network.linear or number == len(matrices)
        a = s if linear else np.tanh(s)
        slopes.append(np.ones_like(s) if linear else 1 - np.tanh(s) ** 2)
    z = a
    backward = [np.broadcast_to(np.eye(z.shape[1]), (len(z), z.shape[1], z.shape[1]))]
    for W, slope in zip(matrices[:0:-1], slopes[-2::-1], strict=True):
        backward.insert(0, backward[0] @ W[:, :-1] * slope[:, None, :])
    if isinstance(J.problem.likelihood, Softmax):
        p = special.softmax(z, axis=1)
        Gz = np.einsum("bi,ij->bij", p, np.eye(z.shape[1])) - np.einsum("bi,bj->bij", p, p)
    else:
        p = special.expit(z)
        variance = p * (1 - p) if isinstance(J.problem.likelihood, Logistic) else np.ones_like(z)
        Gz = np.einsum("bi,ij->bij", variance, np.eye(z.shape[1]))
    return inputs, backward, Gz


def factors_by_hand(J: Objective, w: np.ndarray) -> dict[str, list[np.ndarray]]:
    """A, S and what neighbours have in common: A_next = E[ā_(l-1) ā_lᵀ], S_next = E[Ds_l Ds_(l+1)ᵀ]."""
    inputs, backward, Gz = by_hand(J, w)
    B = len(Gz)

    def both(Jl, Jr):
        return np.einsum("bki,bkl,blj->ij", Jl, Gz, Jr) / B

    return {
        "A": [a.T @ a / B for a in inputs],
        "S": [both(Js, Js) for Js in backward],
        "A_next": [a.T @ b / B for a, b in pairwise(inputs)],
        "S_next": [both(Js, Jt) for Js, Jt in pairwise(backward)],
    }


def block_diag(blocks: list[np.ndarray]) -> np.ndarray:
    """The blocks along a diagonal, zeros elsewhere."""
    ends = np.cumsum([0] + [len(block) for block in blocks])
    C = np.zeros((ends[-1], ends[-1]))
    for low, high, block in zip(ends, ends[1:], blocks, strict=False):
        C[low:high, low:high] = block
    return C


def chain_inverse(A: list, S: list, A_next: list, S_next: list) -> np.ndarray:
    """The block-tridiagonal Ξᵀ Λ Ξ, every Kronecker product written out."""
    blocks = [np.kron(s, a) for a, s in zip(A, S, strict=True)]
    Λ, ends = [], np.cumsum([0] + [len(block) for block in blocks])
    Ξ = np.eye(ends[-1])
    for i in range(len(A_next)):
        Ψ = np.kron(S_next[i], A_next[i]) @ np.linalg.inv(blocks[i + 1])
        Ξ[ends[i] : ends[i + 1], ends[i + 1] : ends[i + 2]] = -Ψ
        Λ.append(np.linalg.inv(blocks[i] - Ψ @ blocks[i + 1] @ Ψ.T))
    return Ξ.T @ block_diag([*Λ, np.linalg.inv(blocks[-1])]) @ Ξ
