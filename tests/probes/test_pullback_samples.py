"""The lecture's panels on sampling against closed forms of linear and logistic regression."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, rel_entr

from secondorder.spec import SpecError
from tests.oracles import make_problem
from tests.probes import asking

LINEAR: dict[str, Any] = {"name": "linear-regression"}
LOGISTIC: dict[str, Any] = {"name": "logistic-regression", "features": ["worst area"]}
W = np.array([-1.5, 1.0])


def data_of(problem: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """x̄ of all examples (N, 2), and their targets (N,)."""
    own = {"features": tuple(problem["features"])} if "features" in problem else {}
    x, t = make_problem(problem["name"], **own).data(0).train
    return np.column_stack([x, np.ones(len(x))]), t[:, 0]


def inputs(problem: dict[str, Any]) -> np.ndarray:
    return data_of(problem)[0]


def told(problem: dict[str, Any], **knobs: float) -> dict[str, Any]:
    return asking.at(problem, W, name="pullback-samples", **knobs)


@pytest.fixture(scope="module", params=[LINEAR, LOGISTIC], ids=["linear", "logistic"])
def problem(request) -> dict[str, Any]:
    return request.param


def test_fisher_and_empirical_fisher_are_those_of_the_closed_forms(problem):
    X, t = data_of(problem)
    z = X @ W
    p = z if problem is LINEAR else expit(z)
    variance, residual = np.ones(len(z)) if problem is LINEAR else p * (1 - p), p - t
    data = told(problem)
    np.testing.assert_allclose(data["fisher"], (X.T * variance) @ X / len(X), rtol=1e-12)
    np.testing.assert_allclose(data["empirical_fisher"], (X.T * residual**2) @ X / len(X), rtol=1e-12)


def test_covariance_and_average_are_those_of_the_samples(problem):
    """From the samples told: their mean outer product, and the recursion Ĝ ← ηĜ + (1 - η)g gᵀ after a plain mean."""
    data = told(problem, samples=60, decay=0.9)
    g = np.asarray(data["gradients"])
    assert g.shape == (60, 2)
    assert (data["samples"], data["timescale"]) == (60, pytest.approx(10))
    np.testing.assert_allclose(data["covariance"], g.T @ g / 60, rtol=1e-10)
    average = np.zeros((2, 2))
    for s, one in enumerate(g):
        η = min(s / (s + 1), 0.9)
        average = η * average + (1 - η) * np.outer(one, one)
    np.testing.assert_allclose(data["average"], average, rtol=1e-10)
    F = np.asarray(data["fisher"])
    for name in ("covariance", "average", "empirical_fisher"):
        off = np.linalg.norm(np.asarray(data[name]) - F) / np.linalg.norm(F)
        assert np.isclose(data["error"][name], off, rtol=1e-10)


def test_more_samples_begin_with_the_same_ones(problem):
    few, many = told(problem, samples=7), told(problem, samples=300)
    np.testing.assert_array_equal(few["gradients"], many["gradients"][:7])
    assert len(told(problem, samples=10_000)["gradients"]) == 400, "more than can be told apart are not told"


def test_each_sample_is_the_gradient_of_a_target_of_some_example(problem):
    """g = -x̄ Dz: along some x̄, and for a logistic output with one of its two targets' Dz."""
    X = inputs(problem)
    for g in np.asarray(told(problem)["gradients"]):
        across = np.abs(X[:, 0] * g[1] - X[:, 1] * g[0]) / np.linalg.norm(X, axis=1)
        owner = X[np.argmin(across)]
        assert across.min() < 1e-12 * np.linalg.norm(g)
        if problem is LOGISTIC:
            p, Dz = expit(owner @ W), -g[1]
            assert np.isclose(Dz, p) or np.isclose(Dz, p - 1)


def test_the_usual_error_is_what_theory_says_and_falls_as_one_over_root_s(problem):
    """E‖g‖⁴ = E[‖x̄‖⁴ E Dz⁴], with E Dz⁴ = 3 for a unit normal and p q (p³ + q³) for a bit."""
    X, z = inputs(problem), inputs(problem) @ W
    p = expit(z)
    fourth = 3.0 if problem is LINEAR else p * (1 - p) * (p**3 + (1 - p) ** 3)
    data = told(problem, samples=100, decay=0.0)
    F = np.asarray(data["fisher"])
    spread = np.mean(np.sum(X**2, axis=1) ** 2 * fourth) - np.linalg.norm(F) ** 2
    one = np.sqrt(spread) / np.linalg.norm(F)
    assert np.isclose(data["expected"]["covariance"], one / 10, rtol=0.1)  # the moment is itself taken from samples
    assert np.isclose(data["expected"]["average"], 10 * data["expected"]["covariance"], rtol=1e-6)
    errors = [told(problem, samples=S) for S in (100, 1000, 10_000)]
    for data, S in zip(errors, (100, 1000, 10_000), strict=True):
        assert np.isclose(data["expected"]["covariance"], errors[0]["expected"]["covariance"] * np.sqrt(100 / S))
        assert data["error"]["covariance"] < 3 * data["expected"]["covariance"]


def test_the_average_forgets_and_stays_where_its_timescale_lets_it(problem):
    """Σ m² of a long average is (1 - η)/(1 + η): as many samples as (1 + η)/(1 - η), however large S is."""
    data = told(problem, samples=10_000, decay=0.95)
    plain = told(problem, samples=39)
    assert np.isclose(data["expected"]["average"], plain["expected"]["covariance"], rtol=1e-3)
    short = told(problem, samples=15, decay=0.95)
    np.testing.assert_allclose(short["average"], short["covariance"], rtol=1e-10)


def test_the_divergence_is_the_mean_kl_from_the_model_at_w(problem):
    """½(z' - z)² for unit normals, p log p/p' + q log q/q' for bits, averaged over examples, along rays."""
    data, X = told(problem), inputs(problem)
    divergence, radius = np.asarray(data["divergence"]), np.asarray(data["radius"])
    assert divergence.shape == (120, len(radius))
    for i in (0, 17, 65):
        angle = 2 * np.pi * i / 120
        for k, r in enumerate(radius):
            z, away = X @ W, X @ (W + r * np.array([np.cos(angle), np.sin(angle)]))
            p, q = expit(z), expit(away)
            kl = (away - z) ** 2 / 2 if problem is LINEAR else rel_entr(p, q) + rel_entr(1 - p, 1 - q)
            assert np.isclose(divergence[i, k], np.mean(kl), rtol=1e-9, atol=1e-14)


def test_of_single_inputs_gradients_lie_on_a_line_and_surprise_is_of_the_first_ones_target(problem):
    data, X = told(problem), inputs(problem)
    along = np.asarray(data["along"])
    assert [len(data["inputs"]), len(data["inputs"][0]["gradients"])] == [3, 8]
    angles = []
    for one in data["inputs"]:
        x, u, g = X[one["example"]], np.asarray(one["direction"]), np.asarray(one["gradients"])
        np.testing.assert_allclose(one["input"], x[:1], rtol=1e-15)
        np.testing.assert_allclose(u, x / np.linalg.norm(x), rtol=1e-12)
        np.testing.assert_allclose(g[:, 0] * u[1], g[:, 1] * u[0], atol=1e-12)
        Dz, z = -g[0] @ x / (x @ x), x @ W
        away = z + along * np.linalg.norm(x)
        if problem is LINEAR:
            t = z - Dz
            surprise = (away - t) ** 2 / 2 - (z - t) ** 2 / 2
        else:
            t = expit(z) - Dz
            assert np.isclose(t, round(t), atol=1e-12)
            surprise = np.logaddexp(0, away) - t * away - np.logaddexp(0, z) + t * z
        np.testing.assert_allclose(one["surprise"], surprise, rtol=1e-9, atol=1e-12)
        # The gradient of log r at w is g: the surprise falls along it at that slope.
        middle = len(along) // 2
        slope = (one["surprise"][middle + 1] - one["surprise"][middle - 1]) / (along[middle + 1] - along[middle - 1])
        assert np.isclose(slope, -g[0] @ u, rtol=1e-3)
        angles.append(np.arctan2(u[1], u[0]))
    assert angles == sorted(angles)
    assert angles[-1] - angles[0] > 0.5


@pytest.mark.parametrize(
    ("problem", "at", "reason"),
    [
        ({"name": "linear-regression", "features": ["age", "sex"]}, [0, 0, 0], "two weights; this problem has 3"),
        ({"name": "logistic-cost"}, [0, 0], "predicts targets for inputs"),
        ({"name": "rosenbrock"}, [0, 0], "predicts targets for inputs"),
    ],
)
def test_other_problems_are_refused_with_what_they_lack(problem, at, reason):
    with pytest.raises(SpecError, match=reason):
        asking.at(problem, at, name="pullback-samples")


@pytest.mark.parametrize("knobs", [{"samples": 2.5}, {"samples": 0}, {"samples": 20_000}, {"decay": 1.0}])
def test_knobs_have_bounds_and_samples_are_whole(knobs):
    with pytest.raises(SpecError):
        told(LINEAR, **knobs)
