"""Gauss-Newton against numpy's least squares on the residuals."""

import numpy as np
import pytest

import secondorder as so
from secondorder.optimizers.gauss_newton import GaussNewton
from secondorder.problems.beale import Beale
from secondorder.problems.rosenbrock import Rosenbrock
from tests.oracles import make_optimizer, make_problem, objective, path

RESIDUALS = {
    Rosenbrock: (
        lambda x, y: np.array([1 - x, 10 * (y - x**2)]),
        lambda x, y: np.array([[-1, 0], [-20 * x, 10]]),
    ),
    Beale: (
        lambda x, y: np.array([1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3]),
        lambda x, y: np.array([[y - 1, x], [y**2 - 1, 2 * x * y], [y**3 - 1, 3 * x * y**2]]),
    ),
}


@pytest.mark.parametrize("cls", RESIDUALS)
@pytest.mark.parametrize("η", [0.0, 0.3, 20.0])
def test_a_step_is_the_damped_least_squares_step_on_the_residuals(cls, η):
    """J = ‖r‖² (no ½), so G = 2 RᵀR and δ minimizes ‖r + Rδ‖² + η/2 ‖δ‖²."""
    residuals, jacobian = RESIDUALS[cls]
    problem = cls()
    w = problem.start(0)
    ws = path(make_optimizer("gauss-newton", damping=η), objective(problem), w, 4)
    for k in range(4):
        augmented = np.vstack([jacobian(*ws[k]), np.sqrt(η / 2) * np.eye(2)])
        target = np.concatenate([residuals(*ws[k]), np.zeros(2)])
        δ = -np.linalg.lstsq(augmented, target)[0]
        np.testing.assert_allclose(ws[k + 1], ws[k] + δ, rtol=1e-10, atol=1e-10)


def test_undamped_gauss_newton_solves_rosenbrock_in_two_steps():
    """The first residual is linear in x: one step to x = 1, a second along the other to y = 1."""
    J = objective(make_problem("rosenbrock"))
    ws = path(make_optimizer("gauss-newton", damping=0.0), J, np.array([-1.2, 1.0]), 2)
    assert np.isclose(ws[1, 0], 1, rtol=1e-13)
    np.testing.assert_allclose(ws[2], [1, 1], rtol=1e-12)


def test_it_descends_where_newton_would_not():
    """G is positive semidefinite everywhere: gᵀδ < 0 from points of Beale where H is indefinite."""
    for start in ([0.0, -1.0], [-0.3, 1.2], [2.0, -1.4]):
        lane = so.run(problem={"name": "beale"}, start=start, optimizers=[{"name": "gauss-newton"}], steps=200).lanes[0]
        assert np.all(lane.slope[1:] < 0)


def test_it_needs_outputs_with_a_convex_loss():

    assert "convex loss" in str(GaussNewton.fit(make_problem("saddle")))
    assert GaussNewton.fit(make_problem("rosenbrock")) is None


def test_a_singular_matrix_is_named_and_any_damping_helps():
    """At (½, 1) Beale's first column of Jacobians is 0."""
    run = so.run(
        problem={"name": "beale"},
        start=[0.5, 1.0],
        steps=3,
        optimizers=[{"name": "gauss-newton", "damping": 0.0}, {"name": "gauss-newton", "damping": 1e-3}],
    )
    undamped, damped = run.lanes
    assert (undamped.status, undamped.step) == ("stopped", 0)
    assert undamped.reason == "the damped Gauss-Newton matrix G + ηI is singular at step 0"
    assert damped.step == 3
    assert damped.loss[-1] < damped.loss[0]
