"""The damping path point by point against numpy's solve, its ends, its poles and its branches."""

import numpy as np
import pytest

from tests.probes import asking
from tests.probes.formulas import breast_cancer, himmelblau

CONVEX, INDEFINITE, CONCAVE = [3.5, 2.2], [0.1, 2.9], [-0.2, -1.0]


def ask(w, **fields):
    return asking.at({"name": "himmelblau"}, w, name="damping-path", **fields)


def step(H, g, η):
    return -np.linalg.solve(H + η * np.eye(len(g)), g)


@pytest.mark.parametrize("w", [CONVEX, INDEFINITE, CONCAVE])
def test_every_point_of_every_branch_is_the_damped_step(w):
    _, g, H = himmelblau(w)
    told = ask(w)
    for branch in told["branches"]:
        assert np.all(np.isfinite(branch["points"]))
        for η, point in zip(branch["eta"], branch["points"], strict=True):
            δ = step(H, g, η)
            np.testing.assert_allclose(point, w + δ, atol=1e-9 * float(δ @ δ) + 1e-9)


def test_where_the_hessian_is_positive_definite_one_branch_leads_from_newton_to_the_gradient():
    _, g, H = himmelblau(CONVEX)
    told = ask(CONVEX)
    (branch,) = told["branches"]
    assert branch["main"] is True
    assert len(told["poles"]) == 0
    assert branch["eta"][0] == 0
    np.testing.assert_allclose(told["newton"], CONVEX + step(H, g, 0.0), rtol=1e-12)
    np.testing.assert_array_equal(branch["points"][0], told["newton"])


@pytest.mark.parametrize("w", [CONVEX, INDEFINITE, CONCAVE])
def test_the_main_branch_descends_and_ends_along_the_gradient(w):
    _, g, H = himmelblau(w)
    told = ask(w)
    (main,) = [branch for branch in told["branches"] if branch["main"]]
    assert main is told["branches"][0]
    ν = np.linalg.eigvalsh(H)
    assert np.all(main["eta"] >= max(0.0, -ν[0]))
    steps = main["points"] - np.array(w)
    assert np.all(steps @ g < 0)
    # Shorter and shorter, the larger η: at the end δ = -g/η + O(1/η²).
    lengths = np.linalg.norm(steps, axis=1)
    assert np.all(np.diff(lengths) < 0)
    np.testing.assert_allclose(steps[-1] / lengths[-1], -g / np.linalg.norm(g), atol=3e-3)
    np.testing.assert_allclose(lengths[-1], np.linalg.norm(g) / main["eta"][-1], rtol=3e-3)
    if ν[0] < 0:  # close to the pole it runs off along the eigenvector of the lowest curvature
        away = steps[0] / lengths[0]
        q = np.linalg.eigh(H)[1][:, 0]
        assert abs(away @ q) > 0.999


@pytest.mark.parametrize(("w", "poles"), [(CONVEX, 0), (INDEFINITE, 1), (CONCAVE, 2)])
def test_poles_are_at_minus_the_negative_curvatures_and_no_branch_crosses_one(w, poles):
    ν = np.linalg.eigvalsh(himmelblau(w)[2])
    told = ask(w)
    np.testing.assert_allclose(told["poles"], np.sort(-ν[ν < 0]), rtol=1e-12)
    assert len(told["poles"]) == poles
    assert len(told["branches"]) == poles + 1
    assert [branch["main"] for branch in told["branches"]] == [True] + [False] * poles
    intervals = set()
    for branch in told["branches"]:
        assert np.all(np.diff(branch["eta"]) > 0)
        assert np.all(branch["eta"] >= 0)
        below = np.unique(np.searchsorted(told["poles"], branch["eta"]))
        assert len(below) == 1
        intervals.add(int(below[0]))
    assert intervals == set(range(poles + 1))
    if poles:  # the branch from η = 0 starts at Newton's point, wherever that leads
        np.testing.assert_allclose(told["branches"][-1]["points"][0], told["newton"], rtol=1e-12)


def test_the_point_of_the_damping_in_use():
    _, g, H = himmelblau(CONVEX)
    assert (ask(CONVEX)["damping"], ask(CONVEX)["point"]) == (None, None)
    told = ask(CONVEX, damping=3.0)
    assert told["damping"] == 3.0
    np.testing.assert_allclose(told["point"], CONVEX + step(H, g, 3.0), rtol=1e-12)


def test_newtons_point_is_null_where_the_hessian_is_singular():
    told = asking.at({"name": "rosenbrock"}, [0.0, 0.005], name="damping-path")
    assert told["newton"] is None
    w, g, H = np.array([0.0, 0.005]), np.array([-2.0, 1.0]), np.diag([0.0, 200.0])
    (branch,) = told["branches"]
    for η, point in zip(branch["eta"][1:], branch["points"][1:], strict=True):
        np.testing.assert_allclose(point, w + step(H, g, η), rtol=1e-9)


def test_in_a_slice_the_path_of_all_weights_is_projected(sliced):
    told = asking.of(sliced, 0, 2, name="damping-path", resolution=20)
    w = sliced.lanes[0].w[2]
    _, g, H = breast_cancer(w)
    origin, axes = np.array(told["plane"]["origin"]), np.array(told["plane"]["axes"])
    (branch,) = told["branches"]
    for η, point in zip(branch["eta"], branch["points"], strict=True):
        np.testing.assert_allclose(point, axes @ (w + step(H, g, η) - origin), atol=1e-9)
    # The lane's own damping is the one in use, and its point is where the lane went.
    assert told["damping"] == 0.05
    np.testing.assert_allclose(told["point"], axes @ (sliced.lanes[0].w[3] - origin), atol=1e-9)
