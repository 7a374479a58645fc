"""Gains along the Hessian's eigenvectors, against numpy's eigh and losses written out."""

from typing import Any

import numpy as np
import pytest

import secondorder as so
from secondorder.spec import SpecError
from tests.oracles import make_problem
from tests.probes import asking

NOISY = {"name": "linear-regression", "features": [], "shift": 0.0, "held_out": 0.8, "noise": 1.0}
LOGISTIC = {"name": "logistic-regression", "features": ["mean radius", "worst area", "texture error"], "held_out": 0.3}


def told(problem: dict[str, Any], w: Any, **asked: Any) -> dict[str, Any]:
    return asking.at(problem, w, name="direction-gains", **asked)


def parts(problem: dict[str, Any]) -> Any:
    """Inputs with the intercept's 1, and targets, of the training and of the held-out data."""
    fields: Any = {name: tuple(part) if isinstance(part, list) else part for name, part in problem.items()}
    data = make_problem(**fields).data(0)
    return [(np.column_stack([x, np.ones(len(x))]), t[:, 0]) for x, t in data]


def squares(x, t, w):
    return np.mean((x @ w - t) ** 2) / 2


def log_loss(x, t, w):
    return np.mean(np.logaddexp(0, x @ w) - t * (x @ w))


def penalty(w, l2=1e-3):
    return l2 * np.sum(w[:-1] ** 2) / 2


W = np.random.default_rng(5).standard_normal(11) / 3


@pytest.mark.parametrize("η", [0.0, 0.2])
def test_of_least_squares_all_is_known(η):
    """Each direction's change in training is -½ (q_jᵀg)²/ν_j at η = 0, the held-out one is evaluated."""
    (x, t), (x_test, t_test) = parts(NOISY)
    H, g = x.T @ x / len(x), x.T @ (x @ W - t) / len(x)
    ν, Q = (part[..., ::-1] for part in np.linalg.eigh(H))
    along = Q.T @ g
    s = -along / (ν + η)
    data = told(NOISY, W, damping=η)
    assert data["loss"] == pytest.approx(squares(x, t, W), rel=1e-12)
    assert data["held_out_loss"] == pytest.approx(squares(x_test, t_test, W), rel=1e-12)
    np.testing.assert_allclose(data["eigenvalues"], ν, rtol=1e-10)
    np.testing.assert_allclose(np.abs(data["gradient"]), np.abs(along), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.abs(data["steps"]), np.abs(s), rtol=1e-9, atol=1e-12)
    gains = -(along**2) / (ν + η) + ν * along**2 / (ν + η) ** 2 / 2
    if η == 0:
        np.testing.assert_allclose(gains, -(along**2) / ν / 2, rtol=1e-12)
    for name in ("train", "predicted"):
        np.testing.assert_allclose(data[name], gains, rtol=1e-9, atol=1e-13)
    held_out = [squares(x_test, t_test, W + a * q) - squares(x_test, t_test, W) for a, q in zip(s, Q.T, strict=True)]
    np.testing.assert_allclose(data["held_out"], held_out, rtol=1e-8, atol=1e-12)
    # All of them together are the step itself: in training their sum.
    whole = W + Q @ s
    assert data["whole"]["train"] == pytest.approx(gains.sum(), rel=1e-10)
    assert data["whole"]["held_out"] == pytest.approx(squares(x_test, t_test, whole) - data["held_out_loss"], rel=1e-9)


def test_of_another_cost_the_changes_are_the_costs_own_not_the_models():
    """Logistic regression: J has the l2 term, the held-out loss does not, as in a run's columns."""
    (x, t), (x_test, t_test) = parts(LOGISTIC)
    w = np.array([1.0, 2.0, -1.5, 0.5])
    data = told(LOGISTIC, w)
    p = 1 / (1 + np.exp(-x @ w))
    l2 = np.diag([1e-3, 1e-3, 1e-3, 0.0])
    H, g = (x.T * (p * (1 - p))) @ x / len(x) + l2, x.T @ (p - t) / len(x) + l2 @ w
    ν, Q = (part[..., ::-1] for part in np.linalg.eigh(H))
    s = -(Q.T @ g) / ν

    def J(w):
        return log_loss(x, t, w) + penalty(w)

    assert data["loss"] == pytest.approx(J(w), rel=1e-12)
    assert data["held_out_loss"] == pytest.approx(log_loss(x_test, t_test, w), rel=1e-12)
    np.testing.assert_allclose(data["train"], [J(w + a * q) - J(w) for a, q in zip(s, Q.T, strict=True)], rtol=1e-8)
    held_out = [log_loss(x_test, t_test, w + a * q) - log_loss(x_test, t_test, w) for a, q in zip(s, Q.T, strict=True)]
    np.testing.assert_allclose(data["held_out"], held_out, rtol=1e-8)
    np.testing.assert_allclose(data["predicted"], -((Q.T @ g) ** 2) / ν / 2, rtol=1e-9)
    assert not np.allclose(data["train"], data["predicted"], rtol=1e-2)


def test_in_a_run_the_losses_are_its_columns_and_the_whole_step_is_newtons():
    run = so.run(problem=NOISY, optimizers=[{"name": "damped-newton", "damping": [0.0, 0.3]}], steps=2)
    for lane, η in ((0, 0.0), (1, 0.3)):
        data = asking.of(run, lane, 0, name="direction-gains")
        told_by_the_run = run.lanes[lane].loss, run.lanes[lane].test_loss
        assert data["damping"] == η
        for name, column in zip(("train", "held_out"), told_by_the_run, strict=True):
            assert data["whole"][name] == pytest.approx(column[1] - column[0], rel=1e-9)
        assert (data["loss"], data["held_out_loss"]) == pytest.approx([column[0] for column in told_by_the_run])


def test_where_nothing_curves_there_is_no_step_but_by_damping():
    """So far out that p (1 - p) underflows, and without l2: H is 0 and g is not."""
    far, n = LOGISTIC | {"l2": 0.0}, 4
    data = told(far, [1e7] * n)
    np.testing.assert_array_equal(data["eigenvalues"], np.zeros(n))
    for name in ("steps", "train", "held_out", "predicted"):
        assert np.isnan(data[name]).all()
    assert list(data["whole"].values()) == pytest.approx([0, 0], abs=1e-12 * data["loss"])
    damped = told(far, [1e7] * n, damping=0.5)
    np.testing.assert_allclose(damped["steps"], -damped["gradient"] / 0.5)
    assert np.linalg.norm(damped["gradient"]) > 0.1


@pytest.mark.parametrize(
    ("problem", "n", "says"),
    [
        (NOISY | {"held_out": 0.0}, 11, "set held_out, where the problem has it, above 0"),
        ({"name": "rosenbrock"}, 2, "set held_out, where the problem has it, above 0"),
        ({"name": "digits-classifier", "held_out": 0.2}, 2410, "at most 1000 weights; this problem has 2410"),
    ],
)
def test_what_is_refused(problem, n, says):
    with pytest.raises(SpecError, match=says) as caught:
        told(problem, [0.0] * n)
    assert caught.value.at == "probe"
