"""Newton's method against the lecture's closed forms: x - sinh x, its threshold, and quadratics in one step."""

from decimal import Decimal, getcontext

import numpy as np
import pytest

import secondorder as so
from tests.oracles import sinh

getcontext().prec = 50
# The positive root of sinh x = 2x, where x - sinh x = -x: 2.1773189849653…
THRESHOLD = "2.17731898496530675263042424606"


def newton(problem, **fields):
    return so.run(problem=problem, optimizers=[{"name": "newton"}], **fields).lanes[0]


def logistic(x, **fields):
    """Newton on the lecture's cost from one x: all runs share one program."""
    return newton({"name": "logistic-cost", "size": 1}, start=[x], **fields)


def test_the_threshold_is_the_root_of_sinh_x_equals_2x():
    low, high = Decimal(2), Decimal(3)
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if sinh(middle) < 2 * middle else (low, middle)
    assert abs(low - Decimal(THRESHOLD)) < Decimal("1e-28")


@pytest.mark.parametrize("x", [2.17, 2.177, -2.1773, 2.1773189, 2.1773189849])
def test_six_steps_from_just_inside_the_threshold_are_x_minus_sinh_x(x):
    """Relative to 1e-12, against 50 digits. An error in x grows by 1 - cosh x = -3.5 a step there: 3.5⁶ ε is 4e-13."""
    w, exact = logistic(x, steps=6).w[:, 0], Decimal(x)
    for k in range(7):
        assert abs(Decimal(float(w[k])) - exact) <= Decimal("1e-12") * abs(exact), k
        exact -= sinh(exact)


@pytest.mark.parametrize("x", [2.0, 1.5, 1.0, -0.3, 1e-3])
def test_each_step_from_inside_has_the_length_sinh_x(x):
    """Relative to 1e-12 however small x has become: where x - sinh x itself cancels, the step keeps its digits."""
    lane = logistic(x, steps=6, tolerance=0.0)
    assert len(lane.w) == 7
    for k in range(6):
        exact = abs(sinh(Decimal(float(lane.w[k, 0]))))
        assert abs(Decimal(float(lane.step_norm[k + 1])) - exact) <= Decimal("1e-12") * exact
        assert lane.w[k + 1, 0] == 0 or lane.slope[k + 1] < 0
    # Cubic convergence: x - sinh x = -x³/6 - … in the leading order.
    small = np.flatnonzero((np.abs(lane.w[:-1, 0]) < 1e-2) & (np.abs(lane.w[:-1, 0]) > 1e-4))
    for k in small:
        assert np.isclose(lane.w[k + 1, 0], -(lane.w[k, 0] ** 3) / 6, rtol=1e-4)


def test_weights_of_the_logistic_cost_are_independent():
    start = [2.0, -1.0, 0.3]
    lane = newton({"name": "logistic-cost", "size": 3}, start=start, steps=3)
    x = np.array(start)
    for k in range(4):
        np.testing.assert_allclose(lane.w[k], x, rtol=1e-12, atol=1e-15)
        x = x - np.sinh(x)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trillionth_inside_the_threshold_converges_and_a_trillionth_outside_diverges(sign):
    inside, outside = (logistic(sign * (float(THRESHOLD) + d), steps=30) for d in (-1e-12, 1e-12))
    assert inside.status == "converged"
    assert outside.status == "diverged"
    # 25 steps tell them apart: one is at the minimum to 1e-4, the other has already stopped far beyond the threshold.
    assert abs(inside.w[25, 0]) < 1e-4
    assert outside.step < 25
    assert abs(outside.w[-1, 0]) > 1000
    assert outside.loss[-1] > outside.loss[0]


def test_at_the_threshold_itself_newton_alternates():
    w = logistic(float(THRESHOLD), steps=15).w[:, 0]
    np.testing.assert_allclose(w, float(THRESHOLD) * (-1.0) ** np.arange(16), rtol=1e-6)


def test_beyond_the_threshold_the_hessian_underflows_while_the_cost_is_finite():
    """From 2.1775 at step 9: the lane has diverged, and says that the Hessian is singular; no NaN anywhere."""
    lane = logistic(2.1775, steps=40)
    assert (lane.status, lane.step) == ("diverged", 9)
    assert "Hessian is singular" in lane.reason
    assert np.cosh(lane.w[9, 0] / 2 if abs(lane.w[9, 0]) < 1400 else np.float64(np.inf)) == np.inf
    assert np.all(np.isfinite(lane.loss))
    assert lane.loss[9] > lane.loss[0]
    exact = Decimal("2.1775")
    for k in range(9):
        assert np.isclose(lane.w[k, 0], float(exact), rtol=1e-9)
        exact -= sinh(exact)


@pytest.mark.parametrize("size", [2, 10])
@pytest.mark.parametrize("rotation", [-3.0, -1.2, 0.0, 0.5, np.pi / 4, 1.57, 2.9])
def test_a_quadratic_is_solved_in_one_step_at_condition_1e8(size, rotation):
    lane = newton({"name": "quadratic", "condition": 1e8, "rotation": rotation, "size": size}, steps=1)
    assert np.linalg.norm(lane.w[1]) <= 1e-6
    assert lane.loss[1] <= 1e-12 * lane.loss[0]


def test_near_a_saddle_newton_goes_to_it():
    """x²/2 - y²/2 + y⁴/4: y ← 2y³/(3y² - 1), in both signs towards 0 from |y| < 1/√5."""
    for start in ([1.2, 0.3], [-0.5, -0.4]):
        lane = newton({"name": "saddle"}, start=start)
        assert lane.status == "converged"
        np.testing.assert_allclose(lane.w[-1], [0, 0], atol=1e-9)
        y = start[1]
        for k in range(4):
            np.testing.assert_allclose(lane.w[k], [start[0] if k == 0 else 0, y], atol=1e-14)
            y = 2 * y**3 / (3 * y**2 - 1)
        x, y = start
        assert np.isclose(lane.slope[1], -(x**2) + (y - y**3) ** 2 / (1 - 3 * y**2), rtol=1e-12)


def test_a_singular_hessian_is_named_and_no_step_is_taken():
    """Rosenbrock's H is diag(0, 200) at (0, 1/200)."""
    lane = newton({"name": "rosenbrock"}, start=[0.0, 0.005])
    assert (lane.status, lane.step) == ("stopped", 0)
    assert lane.reason == "the Hessian is singular at step 0"
    assert len(lane.w) == 1


def test_cost_is_counted_as_a_gradient_and_a_matrix():
    lane = newton({"name": "quadratic", "size": 10}, steps=1, tolerance=0.0)
    np.testing.assert_array_equal(lane.passes, [0, 11])
