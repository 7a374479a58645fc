"""The Levenberg-Marquardt rule: its table, its floor, and what it does along real runs."""

import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.damping import LOWEST, levenberg_marquardt, reduction_ratio


@pytest.mark.parametrize(
    ("η", "ρ", "expected"),
    [
        (1.0, 0.9, 2 / 3),
        (1.0, 0.75, 1.0),
        (1.0, 0.5, 1.0),
        (1.0, 0.25, 1.0),
        (1.0, 0.2, 1.5),
        (1.0, -3.0, 1.5),
        (1.0, -np.inf, 1.5),
        (1.0, np.inf, 2 / 3),
        (6.0, 1.0, 4.0),
        (1.2e-12, 1.0, 1e-12),
        (0.0, 1.0, 1e-12),
        (0.0, -1.0, 1e-12),
    ],
)
def test_damping_falls_by_two_thirds_or_rises_by_three_halves(η, ρ, expected):
    assert np.isclose(levenberg_marquardt(jnp.asarray(η), jnp.asarray(ρ)), expected, rtol=1e-15)
    assert LOWEST == 1e-12


@pytest.mark.parametrize(
    ("J_new", "J_old", "model", "expected"),
    [
        (1.0, 3.0, -4.0, 0.5),
        (0.5, 3.0, -2.5, 1.0),
        (3.1, 3.0, -4.0, -np.inf),  # the cost rose
        (2.0, 3.0, 0.5, -np.inf),  # the model promised no descent: its solution is a saddle or a maximum
        (np.nan, 3.0, -1.0, -np.inf),
        (np.inf, 3.0, -1.0, -np.inf),
        (3.0, 3.0, -1.0, -np.inf),  # nothing came
        (1.0 + 4e-16, 1.0, -1e-17, 1.0),  # both below the rounding of J: the cost cannot tell
        (1.0, 1.0, -1e-17, 1.0),
    ],
)
def test_the_reduction_ratio_is_what_came_over_what_was_promised(J_new, J_old, model, expected):
    assert reduction_ratio(*(jnp.asarray(x, float) for x in (J_new, J_old, model))) == expected


def rosenbrock(w):
    """J, g and H of (1 - x)² + 100 (y - x²)²."""
    x, y = w
    g = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])
    H = np.array([[2 - 400 * (y - 3 * x**2), -400 * x], [-400 * x, 200.0]])
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2, g, H


def test_the_telemetry_of_a_run_is_the_rule_step_by_step():
    """From numpy alone: δ = -(H + ηI)⁻¹g, ρ without the damping term, no step where ρ ≤ 0, then η's new value."""
    lane = so.run(
        problem={"name": "rosenbrock"},
        optimizers=[{"name": "damped-newton", "damping": 0.5, "adapt": "levenberg-marquardt"}],
        steps=60,
    ).lanes[0]
    w, η, rejected = lane.w[0], 0.5, 0
    for k in range(25):
        J, g, H = rosenbrock(w)
        δ = -np.linalg.solve(H + η * np.eye(2), g)
        promised, came = g @ δ + δ @ H @ δ / 2, rosenbrock(w + δ)[0] - J
        ρ = came / promised if came < 0 and promised < 0 else -np.inf
        assert np.isclose(lane.damping[k + 1], η, rtol=1e-14)
        assert np.isclose(lane.rho[k + 1], ρ, rtol=1e-7)
        w = w + δ if ρ > 0 else w
        rejected += ρ <= 0
        np.testing.assert_allclose(lane.w[k + 1], w, rtol=1e-9)
        η *= 2 / 3 if ρ > 3 / 4 else 3 / 2 if ρ < 1 / 4 else 1
    assert rejected > 0
    # A gradient, a matrix of two weights and the loss at the new point.
    np.testing.assert_allclose(lane.passes, np.arange(len(lane.w)) * (3 + 1 / 3), rtol=1e-14)
    assert lane.status == "converged"
    np.testing.assert_allclose(lane.w[-1], [1, 1], atol=1e-8)


@pytest.mark.parametrize("damping", [0.0, 1e-6])
def test_adapting_converges_from_an_indefinite_point_where_the_same_fixed_damping_fails(damping):
    """Beale at (0, -1): H is indefinite there, and (nearly) undamped Newton goes to the saddle (0, 1)."""
    run = so.run(
        problem={"name": "beale"},
        start=[0.0, -1.0],
        steps=200,
        optimizers=[
            {"name": "damped-newton", "damping": damping},
            {"name": "damped-newton", "damping": damping, "adapt": "levenberg-marquardt"},
        ],
    )
    fixed, adapted = run.lanes
    np.testing.assert_allclose(fixed.w[-1], [0, 1], atol=1e-12)
    assert np.isclose(fixed.loss[-1], 1.5**2 + 2.25**2 + 2.625**2)
    assert adapted.status == "converged"
    np.testing.assert_allclose(adapted.w[-1], [3, 0.5], atol=1e-7)
    assert np.all(np.diff(adapted.loss) <= 0)
    # η was the knob's until the first step was judged, then never below the floor.
    assert adapted.damping[1] == damping
    assert np.min(adapted.damping[2:]) >= LOWEST


def test_adapting_descends_on_a_network_where_the_same_fixed_damping_climbs():
    """H of the regression network has eigenvalues below -0.1 at its start: with η = 0.01 the first step would climb."""
    lane = so.run(
        problem={"name": "regression-network", "size": 30},
        steps=60,
        optimizers=[{"name": "damped-newton", "damping": 0.01, "adapt": "levenberg-marquardt"}],
    ).lanes[0]
    rejected = np.flatnonzero(lane.rho[1:] <= 0)
    assert rejected[0] == 0
    np.testing.assert_array_equal(lane.w[rejected + 1], lane.w[rejected])
    np.testing.assert_array_equal(lane.step_norm[rejected + 1], 0)
    assert np.all(np.diff(lane.loss) <= 0)
    assert lane.loss[-1] < 0.02 * lane.loss[0]


@pytest.mark.parametrize(("problem", "minimum"), [("rosenbrock", [1, 1]), ("beale", [3, 0.5])])
def test_adapting_from_the_defaults_converges_on_the_toys(problem, minimum):
    lane = so.run(
        problem={"name": problem}, optimizers=[{"name": "damped-newton", "adapt": "levenberg-marquardt"}]
    ).lanes[0]
    assert lane.status == "converged"
    np.testing.assert_allclose(lane.w[-1], minimum, atol=1e-7)
