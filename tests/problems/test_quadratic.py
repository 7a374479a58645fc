"""The quadratic's Hessian has the eigenvalues and eigenvectors that its knobs name."""

import numpy as np
import pytest

from secondorder.core import TOY, Objective
from secondorder.problems.quadratic import Quadratic
from tests.oracles import gradient_of, hessian_of, make_problem, value


def curvature(problem: Quadratic) -> np.ndarray:
    return np.asarray(hessian_of(Objective(problem, TOY), np.ones(problem.size)))


@pytest.mark.parametrize("size", [2, 10])
def test_eigenvalues_run_from_one_over_the_condition_to_one_whatever_the_rotation(size):
    for condition, rotation in [(1.0, 0.5), (20.0, 0.0), (20.0, -1.3), (1e8, 0.7), (1e8, 3.0)]:
        H = curvature(make_problem("quadratic", condition=condition, rotation=rotation, size=size))
        np.testing.assert_allclose(np.linalg.eigvalsh(H), np.geomspace(1 / condition, 1, size), atol=1e-15, rtol=1e-12)


def test_rotation_turns_the_long_axis_by_its_angle():
    for θ in (0.0, 0.5, -1.2):
        H = curvature(make_problem("quadratic", condition=50.0, rotation=θ))
        long, short = np.array([np.cos(θ), np.sin(θ)]), np.array([-np.sin(θ), np.cos(θ)])
        np.testing.assert_allclose(H @ long, long / 50, atol=1e-15)
        np.testing.assert_allclose(H @ short, short, atol=1e-15)


def test_the_cost_is_half_the_form_and_zero_at_the_origin():
    w = np.random.default_rng(0).standard_normal(10)
    problem = make_problem("quadratic", condition=300.0, size=10)
    J = Objective(problem, TOY)
    H = curvature(problem)
    assert np.isclose(value(J, w), w @ H @ w / 2, rtol=1e-13)
    np.testing.assert_allclose(gradient_of(J, w), H @ w, rtol=1e-12, atol=1e-15)
    assert value(J, np.zeros(10)) == 0
