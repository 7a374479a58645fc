r"""Newton's step for one weight, read twice: as a zero of the gradient's tangent, and as a parabola's extremum."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Point, Probe, Problem, knob, option, register

INTERVAL = {"type": "number", "minimum": -1e30, "maximum": 1e30}
AROUND = 2.0  # of the iterate, where the problem tells no window
REACH = 1.5  # widths that a window is grown by at most to show where the step leads
MARGIN = 0.06  # of its width, beyond what it was grown for


@register
class OneDimension(Probe):
    r"""x⁺ = x - g/(H + η): the zero of g + (H + η)d, and the stationary point of J + g d + ½(H + η)d², d = x⁺ - x.

    That is one point, since the line is the parabola's derivative. ``kind`` says what the parabola has there: a
    ``minimum`` where ``curvature`` = H + η > 0, a ``maximum`` where it is negative, so that the step ascends; where it
    is 0 the line is level, there is no such point, and ``kind`` and ``next`` are null.

    ``x`` (n,) is a grid over ``window``, with ``loss``, ``gradient`` and ``hessian`` (n,) on it, null where they are
    not defined. ``iterate`` tells w, J, g and H; ``model`` the parabola's value at ``next``, ``next_loss`` J's.
    The window that is not asked for is what of the problem is worth looking at, grown to contain the iterate, however
    far that is, and ``next`` too unless it lies more than 1.5 widths outside: ``outside`` then names the side, ``left``
    or ``right``, on which it is not seen.
    """

    name = "one-dimension"
    title = "One dimension"
    equation = r"x^+ = x - \frac{\nabla \mathcal{J}(x)}{H + \eta}"

    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own, or none)", scale="log")
    resolution: int = option(241, "points of the grid", minimum=2, maximum=2001)
    window: tuple | None = option(None, "low and high of the grid (null: around the iterate and what is next)",
                                  items=INTERVAL, minItems=2, maxItems=2)  # fmt: skip

    def __post_init__(self):
        if self.window and self.window[0] >= self.window[1]:
            raise ValueError("a window is [low, high] with low below high")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        return f"is drawn for one weight; this problem has {problem.dimension}" if problem.dimension != 1 else None

    def for_problem(self, problem: Problem) -> "OneDimension":
        # The window is given with the point: in the probe itself each would be a program of its own.
        return dataclasses.replace(self, window=None)

    def price(self, problem: Problem) -> float:
        return 4.0 * self.resolution * problem.work

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w, η = point.w, jnp.where(jnp.isnan(point.damping), 0.0, point.damping).astype(point.w.dtype)

        def derivatives(x):
            """J, its gradient and its Hessian at a number x."""
            g, H = jax.jvp(jax.grad(lambda x: J(x[None])), (x,), (jnp.ones_like(x),))
            return J(x[None]), g, H

        at = w[0]
        loss, g, H = derivatives(at)
        curvature = H + η
        δ = jnp.where(curvature == 0, jnp.nan, -g / curvature)
        following = at + δ
        asked = jnp.ndim(point.window) == 1  # the probe's own; another has two axes
        low, high = point.window if asked else _around(J.problem, at, following)
        x = jnp.linspace(low, high, self.resolution, dtype=w.dtype)
        losses, gradients, hessians = jax.vmap(derivatives)(x)
        return {
            "window": jnp.stack([low, high]),
            "x": x,
            "loss": losses,
            "gradient": gradients,
            "hessian": hessians,
            "iterate w": at,
            "iterate loss": loss,
            "iterate gradient": g,
            "iterate hessian": H,
            "damping": η,
            "curvature": curvature,
            "next": following,
            "next_loss": J(following[None]),
            "model": loss + g * δ / 2,
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        numbers = {name: _finite(value) if np.ndim(value) == 0 else value for name, value in found.items()}
        told = {name: value for name, value in numbers.items() if not name.startswith("iterate ")}
        iterate = {name.removeprefix("iterate "): value for name, value in numbers.items() if name not in told}
        following, (low, high) = told["next"], found["window"]
        outside = None if following is None or low <= following <= high else "left" if following < low else "right"
        kind = None if following is None else "minimum" if found["curvature"] > 0 else "maximum"
        defined = np.isfinite(found["loss"])
        grids = {name: np.where(defined, found[name], np.nan) for name in ("loss", "gradient", "hessian")}
        return told | grids | {"iterate": iterate, "kind": kind, "outside": outside}


def _around(problem: Problem, at: jax.Array, following: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The window, low and high, that shows an iterate and where its step leads."""

    def grown(low, high, x):
        margin = MARGIN * (jnp.maximum(high, x) - jnp.minimum(low, x))
        return jnp.where(x < low, x - margin, low), jnp.where(x > high, x + margin, high)

    low, high = problem.window[0] if problem.window else (at - AROUND, at + AROUND)
    low, high = grown(low, high, at)
    room = REACH * (high - low)
    seen = (following >= low - room) & (following <= high + room)
    return grown(low, high, jnp.where(seen, following, at))


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
