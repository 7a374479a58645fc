r"""Other coordinates for an optimizer (lecture, interpretation 3): it works in w̃, and the run is told in w.

============  ========================================================================  ==============
symbol        meaning                                                                   shape
============  ========================================================================  ==============
``w̃``         the weights that the optimizer sees, w = R w̃ + b                          ``(D,)``
``J̃``         the cost that it sees, J̃(w̃) = J(R w̃ + b)                                 scalar
``δ̃``         its step: the next weights are w + R δ̃                                    ``(D,)``
``x̃``         a network's inputs in other units, s x + c                                ``(B, in)``
============  ========================================================================  ==============

Newton, Gauss-Newton and the natural gradient take the same path in all of them, as long as nothing is damped. Gradient
descent does not: seen from w it is w ← w - αRRᵀ∇J(w).
"""

from dataclasses import replace
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Array, Batch, Objective, Optimizer, Problem, Step, knob, knobs, register

MOST_WEIGHTS = 3  # that a matrix R is written out for
LARGEST = 1e6  # entry of R and of b
LARGEST_CONDITION = {"float64": 1e6, "float32": 1e3}  # of R: w̃ loses as many of a number's 16 or 7 digits
SMALLEST = 1e-6  # of R's largest singular value


class Coordinates(Protocol):
    """A linear change of a problem's weights."""

    def of_lanes(self, lanes: int) -> Self:
        """The same for each of some lanes: every leaf with a first axis that numbers them."""
        ...

    def problem(self, problem: Problem) -> Problem:
        """The problem in w̃, as methods are asked whether they fit it."""
        ...

    def objective(self, J: Objective) -> Objective:
        """J̃."""
        ...

    def into(self, problem: Problem, w: Any) -> Array:
        """w̃ of some weights w (D,)."""
        ...

    def back(self, problem: Problem, δ: Array) -> Array:
        """The change Rδ̃ of w that is a change δ̃ of w̃."""
        ...


def _of_lanes(part: Any, lanes: int) -> Any:
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (lanes, *np.shape(leaf))), part)


@register
class Affine:
    """w = R w̃ + b for any invertible R (D, D) and any b (D,)."""

    matrix: Any
    inverse: Any
    shift: Any

    @classmethod
    def of(cls, matrix: Any, shift: Any) -> "Affine":
        """From R and b; R⁻¹ is taken once, in float64."""
        R = np.asarray(matrix, float)
        return cls(R, np.linalg.inv(R), np.asarray(shift, float))

    def of_lanes(self, lanes: int) -> "Affine":
        return _of_lanes(self, lanes)

    def problem(self, problem: Problem) -> "AffineProblem":
        return AffineProblem(problem, self)

    def objective(self, J: Objective) -> Objective:
        return replace(J, problem=self.problem(J.problem))

    def into(self, problem: Problem, w: Any) -> Array:
        return self.inverse @ (w - self.shift)

    def back(self, problem: Problem, δ: Array) -> Array:
        return self.matrix @ δ


@register
class AffineProblem(Problem):
    """A problem without l2 term, in the weights w̃. It has no layers: R may mix their weights."""

    inner: Problem
    coordinates: Affine

    name = "affine"
    # Of the class elsewhere, of the inner problem here: a type checker cannot know that a property serves as well.
    kind = property(lambda self: self.inner.kind)  # type: ignore[assignment]
    likelihood = property(lambda self: self.inner.likelihood)  # type: ignore[assignment]
    predicts = property(lambda self: self.inner.predicts)  # type: ignore[assignment]
    dtype = property(lambda self: self.inner.dtype)  # type: ignore[assignment]

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    @property
    def examples(self) -> int:
        return self.inner.examples

    @property
    def batch_size(self) -> int:
        return self.inner.batch_size

    @property
    def output_size(self) -> int:
        return self.inner.output_size

    @property
    def work(self) -> float:
        return self.inner.work

    def _out(self, w: Array) -> Array:
        return self.coordinates.matrix @ w + self.coordinates.shift

    def outputs(self, w: Array, inputs: Array) -> Array:
        return self.inner.outputs(self._out(w), inputs)

    def loss(self, w: Array, batch: Batch) -> Array:
        return self.inner.loss(self._out(w), batch)


@register
class Inputs:
    r"""The same network on inputs x̃ = s x + c: its first layer has W₁ = s W̃₁ and b₁ = b̃₁ + c W̃₁1.

    So the function, and the cost, are the same; K-FAC's steps are, too, as long as nothing is damped (Martens & Grosse
    2015, theorem 1).
    """

    scale: float = knob(1.0, "s", 1e-3, 1e3, "scale of the inputs", scale="log")
    shift: float = knob(0.0, "c", -10.0, 10.0, "shift of the inputs")

    def of_lanes(self, lanes: int) -> "Inputs":
        return _of_lanes(self, lanes)

    def problem(self, problem: Problem) -> Problem:
        return problem

    def objective(self, J: Objective) -> Objective:
        return replace(J, batch=J.batch._replace(inputs=self.scale * jnp.asarray(J.batch.inputs) + self.shift))

    def into(self, problem: Problem, w: Any) -> Array:
        W, b, rest = _first_layer(problem, w)
        W = W / self.scale
        return _joined(W, b - self.shift * jnp.sum(W, axis=1), rest)

    def back(self, problem: Problem, δ: Array) -> Array:
        W, b, rest = _first_layer(problem, δ)
        return _joined(self.scale * W, b + self.shift * jnp.sum(W, axis=1), rest)


def _first_layer(problem: Problem, w: Any) -> tuple[Array, Array, Array]:
    """W₁ (out, in) and b₁ (out,) of a network's weights, and all others."""
    assert problem.network is not None, f"{problem.name} has no layers"
    place, shape = problem.network.slices[0], problem.network.shapes[0]
    first = jnp.asarray(w[place]).reshape(shape)
    return first[:, :-1], first[:, -1], w[place.stop :]


def _joined(W: Array, b: Array, rest: Array) -> Array:
    return jnp.concatenate([jnp.column_stack([W, b]).ravel(), rest])


def read(told: dict[str, Any]) -> Affine | Inputs:
    """The coordinates that the canonical ``coordinates`` of a spec's optimizer denote."""
    return Inputs(**told["inputs"]) if "inputs" in told else Affine.of(told["matrix"], told["shift"])


def label(told: dict[str, Any]) -> str:
    """What distinguishes a lane in these coordinates."""
    if "inputs" in told:
        scale, shift = told["inputs"]["scale"], told["inputs"]["shift"]
        scaled = "x̃ = x" if scale == 1 else f"x̃ = {scale:.3g}x"
        return scaled + (f" {'-' if shift < 0 else '+'} {abs(shift):.3g}" if shift else "")
    R = "; ".join(" ".join(f"{entry:.3g}" for entry in row) for row in told["matrix"])
    b = ", ".join(f"{entry:.3g}" for entry in told["shift"])
    return f"R = [{R}]" + (f", b = ({b})" if any(told["shift"]) else "")


def schema() -> dict[str, Any]:
    """The JSON schema of the field, either of whose forms is an object of its own."""
    number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    row = {"type": "array", "items": number, "minItems": 1, "maxItems": MOST_WEIGHTS}
    forms = {
        "matrix": {"matrix": {**row, "items": row}, "shift": row},
        "inputs": {"inputs": {"type": "object", "properties": knobs(Inputs), "additionalProperties": False}},
    }
    return {
        "title": "coordinates that an optimizer works in",
        "oneOf": [
            {"type": "object", "properties": form, "required": [name], "additionalProperties": False}
            for name, form in forms.items()
        ],
    }


@register
class Reparameterized(Optimizer):
    """An optimizer at work in w̃, seen from w.

    It starts at w̃₀ = R⁻¹(w₀ - b), and its state is in w̃ as its steps are.
    """

    optimizer: Optimizer
    coordinates: Any  # Affine or Inputs

    def price(self, n: int) -> tuple[float, float]:
        return self.optimizer.price(n)

    def room(self, problem: Problem) -> float:
        return self.optimizer.room(self.coordinates.problem(problem)) + 4.0 * problem.dimension

    def batches(self, problem: Problem, steps: int) -> list[tuple[int, int]]:
        return self.optimizer.batches(problem, steps)

    def damping_now(self, state: Any) -> Any:
        """η‖δ̃‖² is no multiple of ‖δ‖²: seen from w there is no η of which a probe could make a step."""
        return jnp.nan

    def init(self, J: Objective, w: Array) -> Any:
        return self.optimizer.init(self.coordinates.objective(J), self.coordinates.into(J.problem, w))

    def step(self, J: Objective, w: Array, state: Any) -> Step:
        step = self.optimizer.step(self.coordinates.objective(J), self.coordinates.into(J.problem, w), state)
        return step._replace(delta=self.coordinates.back(J.problem, step.delta))
