"""Gradient descent against its closed form on a quadratic."""

import numpy as np
import pytest

import secondorder as so
from secondorder.core import TOY, Objective
from tests.oracles import hessian_of, make_problem

RATES = [0.3, 1.0, 1.9, 2.0, 2.1]


@pytest.fixture(scope="module")
def lanes():
    return so.run(
        problem={"name": "quadratic", "condition": 20.0},
        optimizers=[{"name": "gradient-descent", "rate": RATES}],
        steps=40,
        tolerance=0.0,
    ).lanes


def test_on_a_quadratic_the_weights_are_powers_of_one_minus_rate_times_h(lanes):
    H = np.asarray(hessian_of(Objective(make_problem("quadratic", condition=20.0), TOY), np.ones(2)))
    for lane, rate in zip(lanes, RATES, strict=True):
        for k in (1, 7, 40):
            expected = np.linalg.matrix_power(np.eye(2) - rate * H, k) @ lane.w[0]
            np.testing.assert_allclose(lane.w[k], expected, rtol=1e-10, atol=1e-13)


def test_it_converges_just_below_two_over_the_largest_curvature(lanes):
    """The largest curvature is 1: at α = 2 its component only changes sign, beyond it grows."""
    losses = [lane.loss[-1] / lane.loss[0] for lane in lanes]
    assert losses[2] < 1e-2
    assert 0.1 < losses[3] < 1
    assert losses[4] > 1


def test_the_slope_is_minus_rate_times_the_squared_gradient(lanes):
    for lane, rate in zip(lanes, RATES, strict=True):
        np.testing.assert_allclose(lane.slope[1:], -rate * lane.gradient_norm[:-1] ** 2, rtol=1e-12)
        np.testing.assert_allclose(lane.step_norm[1:], rate * lane.gradient_norm[:-1], rtol=1e-12)
        np.testing.assert_array_equal(lane.passes, np.arange(41))
