r"""The cost over a grid of two weights, or over the plane of a run's first two principal directions."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from secondorder.core import Objective, Plane, Point, Probe, Problem, option, register

INTERVAL = {
    "type": "array",
    "items": {"type": "number", "minimum": -1e30, "maximum": 1e30},
    "minItems": 2,
    "maxItems": 2,
}
WORK = 3e10  # floating-point operations that one grid may cost: about two seconds


@register
class Landscape(Probe):
    """J on a grid: ``x`` and ``y`` along the plane's axes, ``loss[i][j]`` at (x[j], y[i]).

    Of two weights the plane is the weights themselves. Of more it is a slice: the plane of the first two principal
    directions of all the run's paths, which are then told with it as the points ``paths``.
    """

    name = "landscape"
    title = "Landscape"
    equation = r"\mathcal{J}(\mathbf{w}_0 + a \mathbf{u}_1 + b \mathbf{u}_2)"
    in_a_plane = True
    of_the_whole_run = True

    resolution: int = option(81, "points along each axis", minimum=2, maximum=201)
    window: tuple | None = option(None, "low and high along each axis (null: around the paths)", items=INTERVAL,
                                  minItems=2, maxItems=2)  # fmt: skip

    def __post_init__(self):
        if self.window and any(low >= high for low, high in self.window):
            raise ValueError("a window is [[low, high], [low, high]] with low below high")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        return "needs two weights to draw" if problem.dimension < 2 else None

    def for_problem(self, problem: Problem) -> "Landscape":
        affordable = max(9, math.isqrt(int(WORK / problem.work)))
        return dataclasses.replace(self, window=None, resolution=min(self.resolution, affordable))

    def price(self, problem: Problem) -> float:
        return self.for_problem(problem).resolution ** 2 * problem.work / 3

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        x, y = (jnp.linspace(low, high, self.resolution) for low, high in point.window)
        plane = Plane(*point.plane)

        def row(b):
            points = jnp.stack([x, jnp.full_like(x, b)], axis=1)
            return jax.vmap(lambda p: J(plane.lift(p).astype(point.w.dtype)))(points)

        return {"x": x, "y": y, "loss": jax.lax.map(row, y)}
