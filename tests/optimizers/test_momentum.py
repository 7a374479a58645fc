"""The heavy ball against its closed-form recurrence on a quadratic."""

import numpy as np
import pytest

import secondorder as so
from secondorder.core import TOY, Objective
from tests.oracles import hessian_of, make_problem

GRID = [(rate, momentum) for rate in (0.5, 1.0) for momentum in (0.0, 0.5, 0.9)]


@pytest.fixture(scope="module")
def lanes():
    return so.run(
        problem={"name": "quadratic", "condition": 20.0},
        optimizers=[{"name": "momentum", "rate": [0.5, 1.0], "momentum": [0.0, 0.5, 0.9]}],
        steps=60,
        tolerance=0.0,
    ).lanes


def test_each_eigenmode_follows_the_second_order_recurrence_in_closed_form(lanes):
    """c_(k+1) = (1 + μ - αν) c_k - μ c_(k-1), c_(-1) = c_0: powers of [[1 + μ - αν, -μ], [1, 0]]."""
    H = np.asarray(hessian_of(Objective(make_problem("quadratic", condition=20.0), TOY), np.ones(2)))
    ν, Q = np.linalg.eigh(H)
    for lane, (rate, momentum) in zip(lanes, GRID, strict=True):
        assert lane.knobs == {"rate": rate, "momentum": momentum}
        modes = lane.w @ Q
        for j in range(2):
            M = np.array([[1 + momentum - rate * ν[j], -momentum], [1, 0]])
            for k in (1, 2, 10, 60):
                expected = (np.linalg.matrix_power(M, k) @ [modes[0, j], modes[0, j]])[0]
                assert np.isclose(modes[k, j], expected, rtol=1e-9, atol=1e-13)


def test_without_momentum_it_is_gradient_descent(lanes):
    H = np.asarray(hessian_of(Objective(make_problem("quadratic", condition=20.0), TOY), np.ones(2)))
    w = np.linalg.matrix_power(np.eye(2) - 0.5 * H, 60) @ lanes[0].w[0]
    np.testing.assert_allclose(lanes[0].w[-1], w, rtol=1e-11)


def test_it_beats_gradient_descent_where_the_condition_number_is_large(lanes):
    by_knobs = {(lane.knobs["rate"], lane.knobs["momentum"]): lane.loss[-1] for lane in lanes}
    assert by_knobs[0.5, 0.5] < 0.1 * by_knobs[0.5, 0.0]
