"""Newton's two readings in one dimension, against closed forms: the logistic cost, a parabola, a cost with H < 0."""

from typing import Any

import numpy as np
import pytest

import secondorder as so
from secondorder.spec import SpecError
from tests.probes import asking

LOGISTIC = {"name": "logistic-cost", "size": 1}
WELLS = {"name": "expression", "cost": "x^4 - 2*x^2 + x/3"}


def told(problem: dict[str, Any], x: float, **asked: Any) -> dict[str, Any]:
    return asking.at(problem, [x], name="one-dimension", **asked)


@pytest.mark.parametrize("x", [2.5, -1.0, 0.3, 6.0])
@pytest.mark.parametrize("η", [0.0, 0.01, 1.0])
def test_of_the_logistic_cost_all_is_known(x, η):
    """x⁺ = x - sinh x, and damped x - tanh(x/2) / (½ sech²(x/2) + η)."""
    data = told(LOGISTIC, x, damping=η)
    g, H = np.tanh(x / 2), 1 / (2 * np.cosh(x / 2) ** 2)
    loss = 2 * np.log(2 * np.cosh(x / 2))
    assert data["iterate"] == pytest.approx({"w": x, "loss": loss, "gradient": g, "hessian": H}, rel=1e-13)
    expected = x - np.sinh(x) if η == 0 else x - g / (H + η)
    assert data["next"] == pytest.approx(expected, rel=1e-12)
    assert data["next_loss"] == pytest.approx(2 * np.log(2 * np.cosh(expected / 2)), rel=1e-11)
    d = expected - x
    assert data["model"] == pytest.approx(loss + g * d + (H + η) * d**2 / 2, rel=1e-11, abs=1e-13)
    assert (data["kind"], data["damping"]) == ("minimum", η)
    grid = data["x"]
    np.testing.assert_allclose(data["loss"], 2 * np.log(2 * np.cosh(grid / 2)), rtol=1e-13)
    np.testing.assert_allclose(data["gradient"], np.tanh(grid / 2), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(data["hessian"], 1 / (2 * np.cosh(grid / 2) ** 2), rtol=1e-13)


def test_a_parabola_is_its_own_model():
    """One step to its vertex, from everywhere; with damping a part of the way, H/(H + η)."""
    for x in (-2.5, 0.0, 1.7):
        data = told({"name": "expression", "cost": "3*(x - 1)^2 / 2 + 4"}, x)
        assert (data["next"], data["model"], data["next_loss"]) == pytest.approx((1, 4, 4), rel=1e-14)
        damped = told({"name": "expression", "cost": "3*(x - 1)^2 / 2 + 4"}, x, damping=6.0)
        assert damped["next"] == pytest.approx(x + (1 - x) * 3 / 9, rel=1e-14)


def test_where_the_curvature_is_negative_the_parabola_has_a_maximum_until_damping_is_large_enough():
    """J = x⁴ - 2x² + x/3 at 0.2: g = 4x³ - 4x + 1/3 < 0, H = 12x² - 4 = -3.52, so that Newton's step is against it."""
    x, g, H = 0.2, 4 * 0.008 - 0.8 + 1 / 3, -3.52
    data = told(WELLS, x)
    assert data["iterate"] == pytest.approx({"w": x, "loss": 0.0016 - 0.08 + 0.2 / 3, "gradient": g, "hessian": H})
    assert (data["kind"], data["curvature"]) == ("maximum", pytest.approx(H))
    assert data["next"] == pytest.approx(x - g / H)
    assert data["model"] == pytest.approx(data["iterate"]["loss"] - g**2 / H / 2)
    assert g * (data["next"] - x) > 0
    damped = told(WELLS, x, damping=5.0)
    assert (damped["kind"], damped["curvature"]) == ("minimum", pytest.approx(H + 5))
    assert damped["next"] == pytest.approx(x - g / (H + 5))
    assert g * (damped["next"] - x) < 0
    level = told({"name": "expression", "cost": "-x^2 + x"}, x, damping=2.0)
    assert [level[name] for name in ("kind", "next", "model", "next_loss", "outside")] == [None] * 5


def test_the_window_is_the_problems_own_and_grows_with_a_run_that_diverges():
    """-4…4 on the logistic cost; x⁺ = x - sinh x from 2.2 on."""
    near = told(LOGISTIC, 1.0)
    np.testing.assert_array_equal(near["window"], [-4, 4])
    np.testing.assert_allclose(near["x"], np.linspace(-4, 4, 241), atol=1e-14)
    further = told(LOGISTIC, -3.3)  # leads to 10.3
    assert (further["window"][0], further["outside"]) == (-4, None)
    assert further["next"] < further["window"][1] < further["next"] + 1
    away = told(LOGISTIC, 11.0)  # leads to -2.99e4, which would make a line of everything else
    assert (away["window"][0], away["outside"], away["kind"]) == (-4, "left", "minimum")
    assert 11 < away["window"][1] < 12
    assert told(LOGISTIC, -11.0)["outside"] == "right"
    gone = told(LOGISTIC, -3e4)  # where H underflows to 0: J is a straight line
    assert gone["window"][0] < -3e4
    assert (gone["window"][1], gone["curvature"], gone["next"], gone["kind"]) == (4, 0, None, None)
    asked = told(LOGISTIC, 11.0, window=[-1.0, 0.5], resolution=4)
    np.testing.assert_allclose(asked["x"], [-1, -0.5, 0, 0.5], atol=1e-15)
    assert asked["outside"] == "left"


def test_where_the_cost_is_not_defined_it_is_null():
    data = told({"name": "expression", "cost": "x - log(x)"}, 0.5, window=[-1.0, 3.0], resolution=9)
    defined = data["x"] > 0
    assert [bool(there) for there in defined] == [False] * 3 + [True] * 6
    at = data["x"][defined]
    for name, expected in {"loss": at - np.log(at), "gradient": 1 - 1 / at, "hessian": at**-2.0}.items():
        np.testing.assert_allclose(data[name][defined], expected, rtol=1e-12, atol=1e-15)
        assert np.isnan(data[name][~defined]).all()


def test_in_a_run_it_is_what_newtons_lanes_do_next_with_their_own_damping():
    run = so.run(
        problem=LOGISTIC,
        start=[2.1],
        optimizers=[{"name": "damped-newton", "damping": [0.0, 0.3]}, {"name": "gradient-descent"}],
        steps=6,
    )
    for lane, η in ((0, 0.0), (1, 0.3), (2, 0.0)):
        for step in range(5):
            data = asking.of(run, lane, step, name="one-dimension")
            assert (data["iterate"]["w"], data["damping"]) == (run.lanes[lane].w[step, 0], η)
            following = run.lanes[lane].w[step + 1, 0]
            assert np.isclose(data["next"], following, rtol=1e-12, atol=1e-15) == (lane < 2)


@pytest.mark.parametrize(
    ("problem", "asked", "at", "says"),
    [
        ({"name": "logistic-cost"}, {}, "probe", "one weight; this problem has 2"),
        ({"name": "expression", "cost": "x*y"}, {}, "probe", "one weight; this problem has 2"),
        (LOGISTIC, {"window": [1.0, 1.0]}, "probe", "low below high"),
        (LOGISTIC, {"window": [1.0]}, "probe.window", "at least 2 items"),
        (LOGISTIC, {"resolution": 1}, "probe.resolution", "greater than or equal to 2"),
        (LOGISTIC, {"damping": -0.1}, "probe.damping", "greater than or equal to 0"),
    ],
)
def test_what_is_refused(problem, asked, at, says):
    with pytest.raises(SpecError, match=says) as caught:
        asking.at(problem, [0.5] * (2 if "size" not in problem else 1), name="one-dimension", **asked)
    assert caught.value.at == at
