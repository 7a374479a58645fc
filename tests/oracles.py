"""What the numbers are checked against: differences of the cost, exact rationals, and steps taken one by one."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from secondorder import catalog
from secondorder.core import Batch, Objective, Optimizer, Problem
from secondorder.curvature.hessian import hessian

# Problems as the derivative tests take them: small enough to be written out, with every term of the cost switched on.
SMALL: dict[str, dict[str, Any]] = {
    "digits-classifier": {"widths": (64, 4, 10), "dtype": "float64", "l2": 0.03},
    "digits-autoencoder": {"widths": (64, 2, 64), "dtype": "float64", "l2": 0.03},
    "curves-autoencoder": {"side": 4, "widths": (16, 3, 16), "images": 20, "dtype": "float64", "l2": 0.03},
    "regression-network": {"size": 20, "l2": 0.03},
    "linear-regression": {"l2": 0.03},
    "logistic-regression": {"l2": 0.03},
    "quadratic": {"size": 5},
    "logistic-cost": {"size": 3},
}
EXAMPLES = 20


def make_problem(name: str, **fields: Any) -> Any:
    """A problem of the catalog, its other knobs and options as they are by default."""
    return catalog.all_problems()[name](**fields)


def make_optimizer(name: str, **fields: Any) -> Any:
    """An optimizer of the catalog, likewise."""
    return catalog.all_optimizers()[name](**fields)


def small(name: str) -> tuple[Any, np.ndarray]:
    """A problem of the catalog on few examples, and a point that is neither its start nor special."""
    problem = make_problem(name, **SMALL.get(name, {}))
    train = problem.data(0).train
    batch = Batch(*(np.asarray(part)[:EXAMPLES] for part in train))
    start = problem.start(0)
    return Objective(problem, batch), start + 0.2 * np.random.default_rng(7).standard_normal(start.shape)


def objective(problem: Problem, seed: int = 0) -> Any:
    """J on all the training data."""
    return Objective(problem, problem.data(seed).train)


@jax.jit
def value(J: Objective, w: Any) -> jax.Array:
    """J(w), compiled."""
    return J(w)


@jax.jit
def gradient_of(J: Objective, w: Any) -> jax.Array:
    """g, compiled."""
    return J.gradient(w)


@jax.jit
def hessian_of(J: Objective, w: Any) -> jax.Array:
    """H, compiled."""
    return hessian(J, w).matrix


@jax.jit
def gauss_newton_of(J: Objective, w: Any) -> jax.Array:
    """E[Jzwᵀ Gz Jzw] by one Jacobian of all outputs and the loss's own second derivative in them."""
    problem, likelihood = J.problem, J.problem.likelihood
    assert likelihood is not None
    z = problem.outputs(w, J.batch.inputs)
    Jzw = jax.jacrev(problem.outputs)(w, J.batch.inputs)
    # A toy has no targets of the right shape, and Gz does not depend on them.
    t = jnp.zeros_like(z) if problem.kind == "toy" else jnp.asarray(J.batch.targets)
    Gz = jax.vmap(jax.hessian(likelihood.loss))(z, t)
    return jnp.einsum("bki,bkl,blj->ij", Jzw, Gz, Jzw) / len(z)


def derivative(f: Callable, h: float = 1e-3) -> np.ndarray:
    """f'(0) by central differences of fourth order; f takes a number, and may return an array."""
    values = [np.asarray(f(s * h), float) for s in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)


def second_derivative(f: Callable, h: float = 1e-2) -> np.ndarray:
    """f''(0) by central differences of fourth order."""
    values = [np.asarray(f(s * h), float) for s in (-2, -1, 0, 1, 2)]
    return (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * h**2)


def directions(n: int, most: int = 12) -> np.ndarray:
    """Unit vectors: the axes where they are few, and random ones."""
    random = np.random.default_rng(3).standard_normal((most, n))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return np.concatenate([np.eye(n), random]) if n <= most else random


def symmetric(eigenvalues, seed: int = 0) -> np.ndarray:
    """Q diag(ν) Qᵀ with a random orthogonal Q."""
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    C = Q @ np.diag(eigenvalues) @ Q.T
    return (C + C.T) / 2


def exact_solution(C: np.ndarray, v: np.ndarray) -> np.ndarray:
    """C⁻¹v in rational arithmetic, rounded once at the end."""
    n = len(v)
    rows = [[Fraction(float(x)) for x in row] + [Fraction(float(b))] for row, b in zip(C, v, strict=True)]
    for i in range(n):
        pivot = next(r for r in range(i, n) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i and rows[r][i] != 0:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return np.array([float(row[n]) for row in rows])


def sinh(x: Decimal) -> Decimal:
    """sinh x to 40 digits and more, however small x is."""
    with localcontext() as context:
        context.prec = 100
        return (x.exp() - (-x).exp()) / 2


@partial(jax.jit, static_argnames="steps")
def _path(optimizer: Optimizer, J: Objective, w: jax.Array, steps: int):
    def step(carry, _):
        w, state = carry
        taken = optimizer.step(J, w, state)
        return (w + taken.delta, taken.state), (w, jnp.asarray(taken.refused))

    return jax.lax.scan(step, (w, optimizer.init(J, w)), length=steps + 1)[1]


def path(optimizer: Optimizer, J: Objective, w: np.ndarray, steps: int) -> np.ndarray:
    """The weights (steps + 1, D) when an optimizer's steps are simply taken; none of them may be refused."""
    ws, refused = _path(optimizer, J, jnp.asarray(w), steps)
    assert not np.any(refused)
    return np.asarray(ws)
