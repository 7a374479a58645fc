"""Saddle-free Newton against numpy's |H|, and the saddle that catches Newton but not it."""

import numpy as np
import pytest

import secondorder as so
from secondorder.core import Problem, register
from tests.oracles import gradient_of, hessian_of, make_optimizer, make_problem, objective, path


@register
class Cubic(Problem):
    """J = Σ w_j³/6 + w_0 w_1 + w_1 w_2 + w_2 w_3: indefinite nearly everywhere."""

    name = "cubic"

    @property
    def dimension(self) -> int:
        return 4

    def loss(self, w, batch):
        return (w**3).sum() / 6 + (w[1:] * w[:-1]).sum()


@pytest.mark.parametrize(
    ("problem", "w", "lowest_sign"),
    [
        (make_problem("himmelblau"), [0.1, 2.9], -1),
        (make_problem("himmelblau"), [3.5, 2.2], 1),
        (Cubic(), [0.5, -1.0, 2.0, 0.3], -1),
    ],
)
def test_a_step_takes_the_curvatures_by_their_absolute_values(problem, w, lowest_sign):
    J, w = objective(problem), np.array(w)
    g, (ν, Q) = np.asarray(gradient_of(J, w)), np.linalg.eigh(hessian_of(J, w))
    assert np.sign(ν[0]) == lowest_sign
    for η in (0.1, 5.0):
        δ = path(make_optimizer("saddle-free-newton", damping=η), J, w, 1)[1] - w
        np.testing.assert_allclose(δ, -Q @ ((Q.T @ g) / (np.abs(ν) + η)), rtol=1e-11)
        assert g @ δ < 0


@pytest.mark.parametrize("start", [[1.2, 0.3], [-0.5, -0.01], [0.4, 0.4]])
def test_it_leaves_the_saddle_to_which_newton_goes(start):
    run = so.run(
        problem={"name": "saddle"},
        start=start,
        steps=100,
        optimizers=[{"name": "newton"}, {"name": "saddle-free-newton"}],
    )
    newton, free = run.lanes
    assert (newton.status, free.status) == ("converged", "converged")
    np.testing.assert_allclose(newton.w[-1], [0, 0], atol=1e-9)
    np.testing.assert_allclose(free.w[-1], [0, np.sign(start[1])], atol=1e-8)
    assert np.all(free.slope[1:] < 0)


def test_at_a_curvature_of_zero_without_damping_it_says_so():
    lane = so.run(
        problem={"name": "rosenbrock"},
        start=[0.0, 0.005],
        optimizers=[{"name": "saddle-free-newton", "damping": 0.0}],
    ).lanes[0]
    assert (lane.status, lane.reason) == ("stopped", "the damped matrix Q|ν|Qᵀ + ηI is singular at step 0")
