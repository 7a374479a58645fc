"""The coordinates of a preconditioner against closed forms on the quadratic, numpy, and the cost itself."""

from typing import Any

import numpy as np
import pytest

import secondorder as so
from secondorder.spec import SpecError
from tests.oracles import gauss_newton_of, make_problem, objective, value
from tests.probes import asking
from tests.probes.formulas import himmelblau

FACTORS = ["cholesky", "square-root"]


def bowl(condition: float, rotation: float) -> np.ndarray:
    """H of the quadratic."""
    c, s = np.cos(rotation), np.sin(rotation)
    Q = np.array([[c, -s], [s, c]])
    return Q @ np.diag([1 / condition, 1.0]) @ Q.T


def told(problem: dict[str, Any], w: Any, **asked: Any) -> dict[str, Any]:
    return asking.at(problem, w, name="preconditioned-space", **asked)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("κ", "θ"), [(1.0, 0.0), (100.0, 0.5), (1e6, -1.1)])
def test_of_the_quadratic_all_is_known(factor, κ, θ):
    """With C = H and η = 0, H̃ = I and J̃(w̃) = ½‖w̃ - w̃*‖²; the condition number falls from κ to 1."""
    H, w = bowl(κ, θ), np.array([-1.6, 1.2])
    data = told({"name": "quadratic", "condition": κ, "rotation": θ}, w, factor=factor)
    np.testing.assert_allclose(data["hessian"], H, atol=1e-14)
    assert data["condition"] == pytest.approx(κ, rel=1e-9)
    R, tilde, rounding = np.array(data["R"]), data["tilde"], 1e-14 * κ
    np.testing.assert_allclose(R @ R.T @ H, np.eye(2), atol=10 * rounding)
    np.testing.assert_allclose(tilde["hessian"], np.eye(2), atol=1e-13 + rounding)
    assert tilde["condition"] == pytest.approx(1, abs=1e-13 + 4 * rounding)
    best = -np.linalg.solve(R, w)  # where J is least; w̃ = 0 is w
    x, y = np.array(tilde["x"]), np.array(tilde["y"])
    squares = ((x - best[0]) ** 2)[None, :] + ((y - best[1]) ** 2)[:, None]
    np.testing.assert_allclose(tilde["loss"], squares / 2, rtol=1e-7, atol=1e-9)
    root = np.array(data["R"]) if factor == "square-root" else np.zeros((2, 2))
    np.testing.assert_allclose(root, root.T, atol=rounding)
    assert factor == "square-root" or R[1, 0] == 0


def ring(g: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Points d of the model's level set gᵀd + ½ dᵀHd = 0, through the iterate."""
    centre, L = -np.linalg.solve(H, g), np.linalg.cholesky(H)
    angles = np.linspace(0, 2 * np.pi, 50)
    radius = np.sqrt(g @ np.linalg.solve(H, g))
    return centre[:, None] + radius * np.linalg.solve(L.T, np.stack([np.cos(angles), np.sin(angles)]))


@pytest.mark.parametrize("factor", FACTORS)
def test_the_image_of_the_models_ellipse_is_a_circle(factor):
    """At an iterate of Himmelblau's function; damping leaves an ellipse, the less round the more of it there is."""
    w = np.array([3.5, 2.2])
    _, g, H = himmelblau(w)
    axes = []
    for η in (0.0, 5.0, 500.0):
        data = told({"name": "himmelblau"}, w, factor=factor, damping=η)
        ellipse = ring(np.array(data["gradient"]), np.array(data["hessian"]))
        np.testing.assert_allclose(g @ ellipse + np.sum(ellipse * (H @ ellipse), axis=0) / 2, 0, atol=1e-10)
        image = np.array(data["inverse"]) @ ellipse
        tilde = data["tilde"]
        g_tilde, H_tilde = np.array(tilde["gradient"]), np.array(tilde["hessian"])
        # It is the level set of the model in w̃, too.
        np.testing.assert_allclose(g_tilde @ image + np.sum(image * (H_tilde @ image), axis=0) / 2, 0, atol=1e-9)
        radii = np.linalg.norm(image + np.linalg.solve(H_tilde, g_tilde)[:, None], axis=0)
        axes.append(radii.max() / radii.min())
        assert axes[-1] <= np.sqrt(tilde["condition"]) * (1 + 1e-12)
    assert axes[0] == pytest.approx(1, abs=1e-12)
    assert axes[0] < axes[1] < axes[2] < np.sqrt(data["condition"])


CASES = [
    ({"name": "himmelblau"}, [3.5, 2.2], {"matrix": "hessian"}),
    ({"name": "himmelblau"}, [0.1, 2.9], {"matrix": "hessian", "damping": 60.0, "factor": "square-root"}),
    ({"name": "rosenbrock"}, [-1.2, 1.0], {"matrix": "gauss-newton", "damping": 0.1}),
    ({"name": "rosenbrock"}, [-1.2, 1.0], {"matrix": "diagonal", "factor": "square-root"}),
    ({"name": "saddle"}, [1.2, 0.3], {"matrix": "identity"}),
    ({"name": "linear-regression"}, [0.5, 1.0], {"matrix": "empirical-fisher", "damping": 0.2}),
    ({"name": "logistic-regression", "features": ["worst area"]}, [-1.5, 1.0], {"matrix": "fisher"}),
]


@pytest.mark.parametrize(
    ("problem", "w", "asked"), CASES, ids=[case[0]["name"] + "-" + case[2]["matrix"] for case in CASES]
)
def test_on_the_grid_j_tilde_is_the_cost_at_r_w_tilde_plus_b(problem, w, asked):
    data = told(problem, w, resolution=7, **asked)
    R, b, tilde = np.array(data["R"]), np.array(data["b"]), data["tilde"]
    np.testing.assert_array_equal(b, w)
    np.testing.assert_allclose(np.array(data["inverse"]) @ R, np.eye(2), atol=1e-10)
    fields: Any = {name: tuple(part) if isinstance(part, list) else part for name, part in problem.items()}
    J = objective(make_problem(**fields))
    for i in (0, 3, 6):
        for j in (0, 2, 6):
            at = R @ np.array([tilde["x"][j], tilde["y"][i]]) + b
            assert np.isclose(tilde["loss"][i][j], value(J, at), rtol=1e-12)


@pytest.mark.parametrize(
    ("problem", "w", "asked"), CASES, ids=[case[0]["name"] + "-" + case[2]["matrix"] for case in CASES]
)
def test_condition_numbers_and_eigenvalues_are_numpys(problem, w, asked):
    data = told(problem, w, resolution=2, **asked)
    R, H, tilde = np.array(data["R"]), np.array(data["hessian"]), data["tilde"]
    np.testing.assert_allclose(tilde["hessian"], R.T @ H @ R, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(tilde["gradient"], R.T @ data["gradient"], rtol=1e-12, atol=1e-12)
    for part, matrix in ((data, H), (tilde, R.T @ H @ R)):
        np.testing.assert_allclose(part["eigenvalues"], np.linalg.eigvalsh(matrix), rtol=1e-9)
        assert np.isclose(part["condition"], np.linalg.cond(matrix), rtol=1e-9)


def test_even_a_diagonal_can_improve_the_conditioning_considerably():
    """The lecture's remark; where the bowl's axes are the weights' it is all there is to do."""
    data = told({"name": "quadratic", "condition": 1e4, "rotation": 0.0}, [1.0, 1.0], matrix="diagonal")
    assert data["tilde"]["condition"] == pytest.approx(1)
    G = np.asarray(gauss_newton_of(objective(make_problem("beale")), np.array([1.5, 0.2])))
    data = told({"name": "beale"}, [1.5, 0.2], matrix="diagonal")
    np.testing.assert_allclose(data["R"], np.diag(np.diag(G) ** -0.5), rtol=1e-12)


def test_a_window_of_the_new_coordinates_is_taken_and_else_the_problems_image_is_seen():
    asked = told({"name": "quadratic"}, [1.0, 1.0], window=[[-3, 1], [2, 5]], resolution=5)["tilde"]
    np.testing.assert_allclose(asked["x"], np.linspace(-3, 1, 5))
    np.testing.assert_allclose(asked["y"], np.linspace(2, 5, 5))
    # Also of a problem without a window of its own: then two to each side.
    for problem, half in (({"name": "quadratic"}, 2.0), (CASES[-1][0], None)):
        w = np.array([0.5, -1.0])
        data = told(problem, w, resolution=3)
        low, high = (-half - w, half - w) if half else (np.full(2, -2.0), np.full(2, 2.0))
        corners = np.array([[low[0], high[0], low[0], high[0]], [low[1], low[1], high[1], high[1]]])
        image = np.array(data["inverse"]) @ corners
        for axis, name in enumerate("xy"):
            ends = data["tilde"][name][0], data["tilde"][name][-1]
            np.testing.assert_allclose(ends, (image[axis].min(), image[axis].max()), rtol=1e-12)


def test_where_the_matrix_is_not_positive_definite_there_are_no_such_coordinates():
    data = told({"name": "himmelblau"}, [0.1, 2.9])
    assert (data["R"], data["inverse"], data["tilde"]) == (None, None, None)
    assert data["reason"] == "the damped matrix C + ηI is not positive definite"
    assert data["condition"] == pytest.approx(np.linalg.cond(himmelblau([0.1, 2.9])[2]))
    damped = told({"name": "himmelblau"}, [0.1, 2.9], damping=100.0)
    assert damped["reason"] is None
    flat = told({"name": "rosenbrock"}, [0.0, 0.005])
    assert (flat["condition"], flat["tilde"]) == (None, None)


def test_damping_is_the_lanes_own_where_it_has_one_and_none_else():
    run = so.run(
        problem={"name": "quadratic"},
        optimizers=[{"name": "preconditioned-gradient", "matrix": "hessian", "damping": 0.3}, {"name": "newton"}],
        steps=3,
    )
    assert [asking.of(run, lane, 0, name="preconditioned-space")["damping"] for lane in (0, 1)] == [0.3, 0.0]
    assert asking.of(run, 0, 0, name="preconditioned-space", damping=2.0)["damping"] == 2.0


@pytest.mark.parametrize("factor", FACTORS)
def test_a_preconditioned_step_is_a_gradient_step_in_the_coordinates_told(factor):
    run = so.run(
        problem={"name": "rosenbrock"},
        optimizers=[{"name": "preconditioned-gradient", "rate": 0.5, "factor": factor}],
        steps=4,
    )
    lane = run.lanes[0]
    for k in range(4):
        data = asking.of(run, 0, k, name="preconditioned-space", matrix="gauss-newton", factor=factor)
        image = np.array(data["inverse"]) @ (lane.w[k + 1] - np.array(data["b"]))
        np.testing.assert_allclose(image, -0.5 * np.array(data["tilde"]["gradient"]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("problem", "asked", "says"),
    [
        ({"name": "quadratic", "size": 3}, {}, "two weights; this problem has 3"),
        ({"name": "saddle"}, {"matrix": "gauss-newton"}, "saddle has no gauss-newton matrix"),
        ({"name": "rosenbrock"}, {"matrix": "fisher"}, "rosenbrock has no fisher matrix"),
        ({"name": "quadratic"}, {"window": [[1, 1], [0, 2]]}, "low below high"),
        ({"name": "quadratic"}, {"resolution": 1}, "greater than or equal to 2"),
    ],
)
def test_what_is_refused(problem, asked, says):
    with pytest.raises(SpecError, match=says):
        told(problem, [0.0] * problem.get("size", 2), **asked)
