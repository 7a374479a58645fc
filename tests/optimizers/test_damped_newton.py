"""Damped Newton against its closed forms: the eigenbasis, the limits of η, and the lecture's cost."""

import numpy as np
import pytest

import secondorder as so
from tests.oracles import gradient_of, hessian_of, make_optimizer, make_problem, objective, path


@pytest.fixture(scope="module")
def logistic():
    optimizer = {"name": "damped-newton", "damping": [0.01, 0.1, 1.0]}
    return so.run(problem={"name": "logistic-cost", "size": 1}, start=[3.0], steps=60, optimizers=[optimizer]).lanes


def test_steps_on_the_logistic_cost_are_the_closed_form(logistic):
    for lane, η in zip(logistic, [0.01, 0.1, 1.0], strict=True):
        x = lane.w[:-1, 0]
        np.testing.assert_allclose(lane.w[1:, 0], x - np.tanh(x / 2) / (1 / np.cosh(x / 2) ** 2 / 2 + η), rtol=1e-9,
                                   atol=1e-15)  # fmt: skip


def test_from_3_too_little_damping_alternates_for_ever_and_more_converges(logistic):
    alternates, converges, slower = logistic
    assert alternates.status == "budget"
    # The alternation 61 ↔ 39: x' = x - tanh(x/2)/(sech²(x/2)/2 + η) = x ∓ 100 to twelve digits.
    np.testing.assert_allclose(np.sort(np.abs(alternates.w[-2:, 0])), [39, 61], atol=0.1)
    np.testing.assert_allclose(np.abs(alternates.w[-1] - alternates.w[-2]), 100, rtol=1e-12)
    np.testing.assert_allclose(alternates.w[-3:], alternates.w[-5:-2], rtol=1e-12)
    assert (converges.status, slower.status) == ("converged", "converged")
    assert converges.step < slower.step
    # Near 0 a step multiplies x by η/(½ + η).
    for lane, factor in ((converges, 1 / 6), (slower, 2 / 3)):
        assert np.isclose(lane.w[-1, 0] / lane.w[-2, 0], factor, rtol=1e-6)


POINTS = {"bowl": [3.5, 2.2], "saddle": [0.1, 2.9], "top": [-0.2, -1.0], "start": [1.5, 4.5]}


@pytest.mark.parametrize("name", POINTS)
def test_in_the_eigenbasis_a_step_is_minus_g_over_curvature_plus_damping(name):
    J, w = objective(make_problem("himmelblau")), np.array(POINTS[name])
    g, (ν, Q) = np.asarray(gradient_of(J, w)), np.linalg.eigh(hessian_of(J, w))
    for η in (0.0, 0.1, 7.0, 300.0):
        δ = path(make_optimizer("damped-newton", damping=η), J, w, 1)[1] - w
        np.testing.assert_allclose(Q.T @ δ, -(Q.T @ g) / (ν + η), rtol=1e-11)
        assert (g @ δ < 0) | (η < -ν[0])  # descends wherever η > -ν_min


def test_the_limits_of_damping_are_newtons_step_and_the_gradients_direction():
    J, w = objective(make_problem("himmelblau")), np.array(POINTS["start"])
    g, H = np.asarray(gradient_of(J, w)), np.asarray(hessian_of(J, w))
    newton = -np.linalg.solve(H, g)
    for η in (1e-6, 1e-9):
        δ = path(make_optimizer("damped-newton", damping=η), J, w, 1)[1] - w
        assert np.linalg.norm(δ - newton) <= 1.1 * η * np.linalg.norm(np.linalg.solve(H, newton)) + 1e-13
    for η in (1e4, 1e6):
        δ = path(make_optimizer("damped-newton", damping=η), J, w, 1)[1] - w
        # δ = -g/η + Hg/η² - …
        np.testing.assert_allclose(η * δ, -g + H @ g / η, atol=2 * float(np.linalg.norm(H @ H @ g)) / η**2 + 1e-8)


def test_damping_at_a_pole_is_refused_by_name():
    """The saddle's H is diag(1, -1) where y = 0: η = 1 makes H + ηI singular."""
    lane = so.run(
        problem={"name": "saddle"}, start=[0.5, 0.0], optimizers=[{"name": "damped-newton", "damping": 1.0}]
    ).lanes[0]
    assert (lane.status, lane.reason) == ("stopped", "the damped Hessian H + ηI is singular at step 0")


def test_cost_is_counted_as_a_gradient_and_a_matrix(logistic):
    np.testing.assert_array_equal(logistic[1].passes[:4], [0, 2, 4, 6])
