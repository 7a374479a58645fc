"""What an affine change of weights w = R w̃ + b does to each method (lecture, interpretation 3).

Newton, Gauss-Newton and the natural gradient map exactly: w_k = R w̃_k + b. Damping and gradient descent measure length
in the weights themselves, and so take another path.
"""

from typing import Any

import jax
import numpy as np
import pytest

from secondorder.core import Data, Objective, Optimizer, Problem, register
from secondorder.problems.beale import Beale
from secondorder.problems.himmelblau import Himmelblau
from secondorder.problems.logistic_cost import LogisticCost
from secondorder.problems.rosenbrock import Rosenbrock
from tests.oracles import gradient_of, hessian_of, make_optimizer, make_problem, path


@register
class Reparameterized(Problem):
    """A problem without l2 term in the weights w̃, w = R w̃ + b."""

    name = "reparameterized"

    inner: Any
    R: Any
    b: Any

    @property
    def likelihood(self):  # type: ignore[override]
        return self.inner.likelihood

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    def data(self, seed: int) -> Data:
        return self.inner.data(seed)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.inner.outputs(self.R @ w + self.b, inputs)

    def loss(self, w, batch):
        return self.inner.loss(self.R @ w + self.b, batch)

    def there(self, w: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self.R, w - self.b)

    def back(self, w: np.ndarray) -> np.ndarray:
        return w @ self.R.T + self.b


TWO_FEATURES = make_problem("logistic-regression", l2=0.0, features=("mean radius", "mean texture"))
STARTS = {Rosenbrock: [-1.2, 1.0], Himmelblau: [1.5, 4.5], Beale: [1.5, 0.2], LogisticCost: [2.0, -1.0]}
INVARIANT = [
    (make_optimizer("newton"), make_problem("rosenbrock")),
    (make_optimizer("newton"), make_problem("himmelblau")),
    (make_optimizer("newton"), make_problem("quadratic", size=3, condition=1e3)),
    (make_optimizer("newton"), TWO_FEATURES),
    (make_optimizer("gauss-newton", damping=0.0), make_problem("rosenbrock")),
    (make_optimizer("gauss-newton", damping=0.0), make_problem("beale")),
    (make_optimizer("gauss-newton", damping=0.0), TWO_FEATURES),
    (make_optimizer("natural-gradient", damping=0.0), make_problem("logistic-cost")),
    (make_optimizer("natural-gradient", damping=0.0), TWO_FEATURES),
]
VARYING = [
    (make_optimizer("damped-newton", damping=0.5), make_problem("himmelblau")),
    (make_optimizer("gauss-newton", damping=0.5), make_problem("beale")),
    (make_optimizer("natural-gradient", damping=0.5), TWO_FEATURES),
    (make_optimizer("gradient-descent", rate=0.05), make_problem("quadratic", size=3, condition=1e3)),
]


def named(case):
    return "-".join(part.name for part in case)


def transformed(problem: Problem, seed: int) -> tuple[Any, Any]:
    """The problem as it is, and in weights turned, stretched by up to 10 and shifted."""
    n, rng = problem.dimension, np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    R, b = U * np.geomspace(0.5, 5.0, n) @ V, rng.standard_normal(n)
    assert np.linalg.cond(R) < 10 + 1e-9
    batch = problem.data(0).train
    return (
        Objective(Reparameterized(problem, np.eye(n), np.zeros(n)), batch),
        Objective(Reparameterized(problem, R, b), batch),
    )


def difference(optimizer: Optimizer, problem: Problem, seed: int) -> float:
    """max_k ‖w_k - (R w̃_k + b)‖ / max_k ‖w_k‖ over 50 steps."""
    plain, other = transformed(problem, seed)
    start = np.array(STARTS.get(type(problem), problem.start(0)), float)
    w = path(optimizer, plain, start, 50)
    mapped = other.problem.back(path(optimizer, other, other.problem.there(start), 50))
    return float(np.max(np.linalg.norm(w - mapped, axis=1)) / np.max(np.linalg.norm(w, axis=1)))


@pytest.mark.parametrize("case", INVARIANT, ids=named)
def test_undamped_second_order_methods_do_not_feel_the_change(case):
    optimizer, problem = case
    for seed in range(5):
        assert difference(optimizer, problem, seed) < 1e-9


@pytest.mark.parametrize("case", VARYING, ids=named)
def test_damped_methods_and_gradient_descent_do(case):
    optimizer, problem = case
    for seed in range(5):
        assert difference(optimizer, problem, seed) > 1e-3


def test_gradient_descent_in_the_new_weights_is_preconditioned_by_r_rt():
    """w ← w - αRRᵀg, seen from the old weights."""
    plain, other = transformed(make_problem("rosenbrock"), 0)
    w, rate, R = np.array([-1.2, 1.0]), 1e-4, other.problem.R
    mapped = other.problem.back(path(make_optimizer("gradient-descent", rate=rate), other, other.problem.there(w), 20))
    for k in range(21):
        np.testing.assert_allclose(mapped[k], w, rtol=1e-11)
        w = w - rate * R @ R.T @ np.asarray(gradient_of(plain, w))


def test_the_hessian_in_the_new_weights_is_rt_h_r():
    plain, other = transformed(make_problem("himmelblau"), 1)
    w, R = np.array([0.3, -1.2]), other.problem.R
    H, tilde = np.asarray(hessian_of(plain, w)), np.asarray(hessian_of(other, other.problem.there(w)))
    np.testing.assert_allclose(tilde, R.T @ H @ R, rtol=1e-12, atol=1e-11)
