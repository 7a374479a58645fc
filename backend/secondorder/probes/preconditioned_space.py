r"""The cost in the coordinates that a preconditioner implies: bowls in w̃ where there are valleys in w."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Objective, Point, Probe, Problem, knob, option, register
from secondorder.curvature.hessian import hessian
from secondorder.preconditioning import FACTORS, INDEFINITE, MATRICES, coordinates
from secondorder.solve import eigenvalues

INTERVAL = {
    "type": "array",
    "items": {"type": "number", "minimum": -1e30, "maximum": 1e30},
    "minItems": 2,
    "maxItems": 2,
}
TILDE = "tilde "  # how the parts of an answer that are about w̃ begin
AROUND = 2.0  # of the iterate in w, where the problem tells no window


@register
class PreconditionedSpace(Probe):
    r"""w = Rw̃ + b with RRᵀ = (C + ηI)⁻¹, C measured at the iterate, which is b: the origin of w̃.

    ``gradient``, ``hessian``, its ``eigenvalues`` and ``condition`` number are those of the quadratic model in w; under
    ``tilde`` stand Rᵀg, H̃ = RᵀHR and what follows from that, and J̃(w̃) = J(Rw̃ + b) on a grid: ``loss[i][j]`` at
    (x[j], y[i]). For C = H and η = 0 that model's ellipses become circles. A condition number is the ratio of the
    largest to the smallest of the eigenvalues' sizes, null where H is singular. Where C + ηI is not positive definite
    there are no such coordinates: ``R``, ``inverse`` and ``tilde`` are null, and ``reason`` says so.
    """

    name = "preconditioned-space"
    title = "Preconditioned space"
    equation = (
        r"\tilde{\mathbf{w}} = \mathbf{R}^{-1} (\mathbf{w} - \mathbf{b}), \quad"
        r"\mathbf{R} \mathbf{R}^\top = (\mathbf{C} + \eta \mathbf{I})^{-1}, \quad"
        r"\tilde{\mathbf{H}} = \mathbf{R}^\top \mathbf{H} \mathbf{R}"
    )

    matrix: str = option("hessian", "the matrix C", enum=list(MATRICES))
    factor: str = option("cholesky", "how (C + ηI)⁻¹ is written as RRᵀ", enum=list(FACTORS))
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own, or none)", scale="log")
    resolution: int = option(61, "points along each axis", minimum=2, maximum=201)
    window: tuple | None = option(None, "low and high along each axis of w̃ (null: what of w is worth looking at)",
                                  items=INTERVAL, minItems=2, maxItems=2)  # fmt: skip

    def __post_init__(self):
        if self.window and any(low >= high for low, high in self.window):
            raise ValueError("a window is [[low, high], [low, high]] with low below high")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.dimension != 2:
            return f"is drawn for two weights; this problem has {problem.dimension}"
        return None

    def price(self, problem: Problem) -> float:
        return (self.resolution**2 / 3 + 10) * problem.work

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w, η = point.w, jnp.where(jnp.isnan(point.damping), 0.0, point.damping).astype(point.w.dtype)
        loss, g = J.value_and_gradient(w)
        H = hessian(J, w).matrix
        R, indefinite = coordinates(J, w, self.matrix, self.factor, η)
        inverse = jnp.linalg.inv(R)
        H_tilde = R.T @ H @ R
        ν, ν_tilde = eigenvalues(H), eigenvalues((H_tilde + H_tilde.T) / 2)
        asked = point.window[0, 0] < point.window[0, 1]  # a window of no width: none was
        low, high = jnp.where(asked, point.window, _image(J.problem, w, inverse)).T
        x, y = jnp.linspace(low, high, self.resolution).T

        def row(y):
            points = jnp.stack([x, jnp.full_like(x, y)], axis=1)
            return jax.vmap(lambda w_tilde: J((R @ w_tilde + w).astype(w.dtype)))(points)

        return {
            "at": w,
            "loss": loss,
            "gradient": g,
            "hessian": H,
            "eigenvalues": ν,
            "condition": _condition(ν),
            "damping": η,
            "R": R,
            "inverse": inverse,
            "b": w,
            "indefinite": indefinite,
            TILDE + "gradient": R.T @ g,
            TILDE + "hessian": H_tilde,
            TILDE + "eigenvalues": ν_tilde,
            TILDE + "condition": _condition(ν_tilde),
            TILDE + "x": x,
            TILDE + "y": y,
            TILDE + "loss": jax.lax.map(row, y),
        }

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        found = {name: _finite(value) if name.endswith("condition") else value for name, value in found.items()}
        tilde = {name.removeprefix(TILDE): value for name, value in found.items() if name.startswith(TILDE)}
        told = {name: value for name, value in found.items() if not name.startswith(TILDE)} | {"tilde": tilde}
        if told.pop("indefinite"):
            told |= {"R": None, "inverse": None, "tilde": None, "reason": INDEFINITE}
        return {"matrix": self.matrix, "factor": self.factor, "reason": None} | told


def _image(problem: Problem, w: jax.Array, inverse: jax.Array) -> jax.Array:
    """Low and high (2, 2) along both axes of w̃ around the origin and the corners of the problem's window."""
    x, y = problem.window or np.tile([-AROUND, AROUND], (2, 1)) + w[:, None]
    corners = jnp.stack([jnp.repeat(jnp.asarray(x), 2), jnp.tile(jnp.asarray(y), 2)], axis=1)
    image = jnp.concatenate([jnp.zeros((1, 2)), (corners - w) @ inverse.T])
    return jnp.stack([jnp.min(image, axis=0), jnp.max(image, axis=0)], axis=1)


def _condition(ν: jax.Array) -> jax.Array:
    sizes = jnp.abs(ν)
    return jnp.max(sizes) / jnp.min(sizes)


def _finite(κ: Any) -> float | None:
    return float(κ) if np.isfinite(κ) else None
