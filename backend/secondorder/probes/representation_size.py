r"""How many numbers a curvature takes in each representation: the lecture's 9 trillion, 3 trillion and 6 million."""

import dataclasses
from itertools import pairwise
from typing import Any

from secondorder.core import Objective, Point, Probe, Problem, option, register

MOST = 94_906_265  # weights: the square of more is no exact number in JSON


@register
class RepresentationSize(Probe):
    r"""Entries of G as a full matrix, of its blocks, of its Kronecker factors and of its diagonal.

    For layers of n_l = out × (in + 1) weights: full (Σ n_l)², block-diagonal Σ n_l², Kronecker-factored
    Σ (in + 1)² + out², block-tridiagonal those and what neighbours have in common, A_(l-1,l) and S_(l,l+1), diagonal
    Σ n_l. Every entry of a symmetric matrix is counted, as the lecture does. Without ``biases`` it is in, not in + 1.
    """

    name = "representation-size"
    title = "Size of a representation"
    equation = (
        r"\Big(\sum_\ell n_\ell\Big)^2, \quad \sum_\ell n_\ell^2, \quad"
        r" \sum_\ell \left[(\text{in}_\ell + 1)^2 + \text{out}_\ell^2\right]"
    )

    widths: tuple | None = option(None, "layer widths (none: the problem's own)", minItems=2, maxItems=64,
                                  items={"type": "integer", "minimum": 1, "maximum": MOST})  # fmt: skip
    biases: bool = option(True, "with a bias a unit")
    names: tuple = dataclasses.field(default=(), metadata={"static": True})  # of each layer's weights, in a problem

    def __post_init__(self):
        weights = sum(out * fan_in for out, fan_in in self.shapes)
        if weights > MOST:
            raise ValueError(f"{weights} weights: their square is no exact number in JSON; at most {MOST}")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        return None if problem.network else "needs a network made of layers"

    def for_problem(self, problem: Problem) -> "RepresentationSize":
        if self.widths is not None:
            return self
        assert problem.network is not None
        assert problem.blocks is not None
        shapes = problem.network.shapes
        names = tuple(tuple(block["weights"]) for block in problem.blocks)
        return dataclasses.replace(
            self, widths=(shapes[0][1] - 1, *(out for out, _ in shapes)), names=names if self.biases else ()
        )

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape of each layer's weights, (out, in + 1) with biases and (out, in) without."""
        return [(out, fan_in + self.biases) for fan_in, out in pairwise(self.widths or ())]

    def price(self, problem: Problem) -> float:
        return 1.0

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        return {}

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        counts = [out * fan_in for out, fan_in in self.shapes]
        factors = sum(out**2 + fan_in**2 for out, fan_in in self.shapes)
        neighbours = sum(a * b + s * t for (s, a), (t, b) in pairwise(self.shapes))
        return {
            "widths": list(self.widths or ()),
            "biases": self.biases,
            "weights": sum(counts),
            "sizes": {
                "full": sum(counts) ** 2,
                "block-diagonal": sum(n**2 for n in counts),
                "block-tridiagonal": factors + neighbours,
                "kronecker": factors,
                "diagonal": sum(counts),
            },
            "blocks": [
                {
                    "name": f"layer {layer}",
                    "weights": list(self.names[layer - 1]) if self.names else self._named(layer),
                    "shape": list(shape),
                    "first": sum(counts[: layer - 1]),
                    "count": counts[layer - 1],
                }
                for layer, shape in enumerate(self.shapes, start=1)
            ],
        }

    def _named(self, layer: int) -> list[str]:
        return [f"W{layer}", f"b{layer}"] if self.biases else [f"W{layer}"]
