r"""Inside one step: how conjugate gradients, preconditioned ones and gradient descent minimize the same quadratic."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.cg import NEGATIVE, STATUS, MatrixFree, Solution, conjugate_gradient, tridiagonal
from secondorder.core import Objective, Point, Probe, Problem, knob, option, register
from secondorder.curvature.empirical_diagonal import preconditioner
from secondorder.curvature.gauss_newton import gauss_newton_products
from secondorder.curvature.hessian import hessian_products
from secondorder.solve import eigenvalues, eigh

Array = jax.Array
MATRICES = {"gauss-newton": gauss_newton_products, "hessian": hessian_products}
METHODS = {
    "conjugate-gradient": {"precondition": False, "conjugate": True},
    "preconditioned": {"precondition": True, "conjugate": True},
    "gradient-descent": {"precondition": False, "conjugate": False},
}
COLUMNS = ("quadratic", "residual", "error", "loss")
LARGEST = 1000  # weights: above, the minimizer and the condition number are estimated from products
MOST = 250  # iterations told
REFERENCE = 500  # iterations after which the minimizer must be known, where it is not solved for
RITZ = 100  # iterations that the extreme eigenvalues are estimated from, where they are not computed


@register
class CGTrace(Probe):
    r"""φ(v) = ½ vᵀAv + ∇Jᵀv, A = C + L + ηI, from v = 0, iteration by iteration: value, residual, error, and J(w + v).

    L is the l2 term's Hessian. Gradient descent takes the exact step size rᵀr/rᵀAr; the preconditioner is that of
    Hessian-free. The error is ‖v - v*‖ in A's norm, φ(v) - φ(v*) = ½‖v - v*‖²; in the bounds on it, as shares of the
    first error, κ is A's condition number.

    Up to 1000 weights κ and v* are exact. With more, the largest eigenvalue is conjugate gradients' largest Ritz value,
    and the smallest is bounded from below by η and l2 where C = G, else their smallest Ritz value; v* comes from
    preconditioned conjugate gradients carried on to 500 iterations, and is told as unknown where these do not converge.
    """

    name = "cg-trace"
    title = "Conjugate gradients"
    equation = (
        r"\|\mathbf{v}_k - \mathbf{v}^*\|_{\mathbf{A}} \leq"
        r" 2 \left(\frac{\sqrt{\kappa} - 1}{\sqrt{\kappa} + 1}\right)^k \|\mathbf{v}_0 - \mathbf{v}^*\|_{\mathbf{A}}"
    )

    matrix: str = option("gauss-newton", "which matrix", enum=list(MATRICES))
    iterations: float = knob(50.0, "K", 1, MOST, "iterations", scale="log", whole=True)
    damping: float | None = knob(None, "η", 0.0, 1e6, "damping (null: the lane's own, else 0)", scale="log")

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        if problem.likelihood is None:
            return "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        return None

    def price(self, problem: Problem) -> float:
        n = problem.dimension
        known = n * problem.work + 30.0 * n**3 if n <= LARGEST else (REFERENCE + RITZ) * problem.work
        return 4.0 * self.iterations * problem.work + known

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        w = point.w
        η = jnp.where(jnp.isnan(point.damping), 0.0, point.damping).astype(w.dtype)
        g, C, M = J.gradient(w), MATRICES[self.matrix](J, w), preconditioner(J, w, η)

        def multiply(v):
            return C.multiply(v) + η * v

        def minimize(precondition: bool = False, **how: Any) -> Solution:
            scale = M if precondition else jnp.ones_like(M)
            return conjugate_gradient(multiply, g, precondition=lambda r: r / scale, **how)

        if w.shape[0] <= LARGEST:
            solution, told = _exact(C, g, M, η)
        else:
            solution, told = _estimated(minimize, jnp.min(η + C.l2) if self.matrix == "gauss-newton" else None)
        rest, eps = multiply(solution) + g, float(jnp.finfo(w.dtype).eps)
        lowest = (rest + g) @ solution / 2
        known = jnp.linalg.norm(rest) <= eps**0.5 * jnp.linalg.norm(g)
        solution = jnp.where(known, solution, jnp.nan)

        def watch(v, r):
            error = jnp.sqrt(jnp.maximum((v - solution) @ (r - rest), 0.0))  # A(v - v*) = r - r*
            return {"error": error, "loss": J(w + v)}

        found = {"damping": η, "lowest": lowest} | told
        for name, how in METHODS.items():
            run = minimize(**how, iterations=self.iterations, room=MOST, tolerance=eps, watch=watch)
            columns = {"quadratic": run.trace.quadratic, "residual": run.trace.residual, **run.trace.watched}
            found |= {f"{name} {column}": values for column, values in columns.items()}
            found |= {f"{name} iterations": run.iterations, f"{name} status": run.status}
        return found

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        curves = []
        for name in METHODS:
            rows = int(found[f"{name} iterations"]) + 1
            columns = {column: found[f"{name} {column}"][:rows] for column in COLUMNS}
            curves.append({"name": name, "ended": STATUS[int(found[f"{name} status"])], **columns})
        low, high = found["extremes"].tolist()
        indefinite = any(curve["ended"] == STATUS[NEGATIVE] for curve in curves)
        κ = high / low if low > 0 and not indefinite else np.nan
        exact, bounds = found["from"] == 0, None
        if np.isfinite(κ):
            k, root = np.arange(int(self.iterations) + 1), np.sqrt(κ)
            cg, descent = 2 * ((root - 1) / (root + 1)) ** k, ((κ - 1) / (κ + 1)) ** k
            bounds = {"conjugate-gradient": cg, "gradient-descent": descent}
        return {
            "matrix": self.matrix,
            "damping": found["damping"],
            "iterations": int(self.iterations),
            "step_size": "exact",
            "method": "exact" if exact else "lanczos",
            "lanczos_iterations": None if exact else int(found["from"]),
            "extremes": [low, high],
            "condition": κ,
            "preconditioned_condition": found["preconditioned"],
            "lowest": found["lowest"],
            "curves": curves,
            "bounds": bounds,
        }


def _condition(ν: Array) -> Array:
    return jnp.where(ν[0] > _rounding(ν), ν[-1] / ν[0], jnp.nan)


def _rounding(ν: Array) -> Array:
    """Eigenvalues up to this are 0 to working precision."""
    return ν.shape[0] * jnp.finfo(ν.dtype).eps * jnp.max(jnp.abs(ν))


def _exact(C: MatrixFree, g: Array, M: Array, η: Array) -> tuple[Array, dict[str, Any]]:
    """v* (NaN where φ is unbounded below) and the condition numbers, from A written out."""
    A = C.matrix + jnp.diag(jnp.broadcast_to(C.l2 + η, g.shape))
    ν, Q = eigh(A)
    there = jnp.abs(ν) > _rounding(ν)
    v = -Q @ (jnp.where(there, 1 / jnp.where(there, ν, 1.0), 0.0) * (Q.T @ g))
    scaled = eigenvalues(A / jnp.sqrt(M)[:, None] / jnp.sqrt(M))
    extremes = jnp.where(there[:1], ν[jnp.array([0, -1])], jnp.array([0.0, 1.0]) * ν[-1])
    told = {"extremes": extremes, "preconditioned": _condition(scaled), "from": 0}
    return jnp.where(ν[0] < -_rounding(ν), jnp.nan, v), told


def _estimated(minimize: Callable[..., Solution], lowest: Array | None) -> tuple[Array, dict[str, Any]]:
    """v* as far as conjugate gradients find it, and the condition numbers from their Ritz values.

    ``lowest`` is a bound on A's smallest eigenvalue, where one is known.
    """
    plain = minimize(room=RITZ)
    eps = float(jnp.finfo(plain.v.dtype).eps)
    carried_on = minimize(precondition=True, room=REFERENCE, tolerance=eps ** (2 / 3))

    def ritz(run: Solution) -> Array:
        return jnp.where(run.status == NEGATIVE, jnp.nan, eigenvalues(tridiagonal(run.trace).astype(float)))

    ν = ritz(plain)
    extremes = jnp.stack([ν[0] if lowest is None else lowest, ν[-1]])
    v = jnp.where(carried_on.status == NEGATIVE, jnp.nan, carried_on.v)
    return v, {"extremes": extremes, "preconditioned": _condition(ritz(carried_on)), "from": RITZ}
