"""Proximal updates of a fit: against scipy's least squares, the closed form, and what each term is for."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

from secondorder import probing
from secondorder.probes.proximal_fit import ProximalFit
from tests.oracles import make_problem
from tests.probes import asking

PROBLEM = {"name": "regression-network", "size": 30}
BATCH = [[0.4, -1.2], [-1.0, 0.7]]
FIELDS = {"points": 2, "x1": 0.4, "t1": -1.2, "x2": -1.0, "t2": 0.7, "fsd": 2.0, "wsd": 0.05}
λ, η = 2.0, 0.05


class Known:
    """The network of the question, with its residuals written out."""

    def __init__(self):
        self.problem = make_problem("regression-network", size=30)
        self.w = self.problem.start(3)
        self.inputs, self.targets = self.problem.data(0).train
        self.batch = np.array(BATCH)
        self.outputs = jax.jit(lambda w, x: self.problem.outputs(w, x)[:, 0])
        self.slopes = jax.jit(jax.jacrev(self.outputs))
        self.now = self.f(self.w, self.inputs)

    def f(self, w: Any, x: Any) -> np.ndarray:
        return np.asarray(self.outputs(jnp.asarray(w), jnp.asarray(x)))

    def residuals(self, δ: np.ndarray, fsd: float, wsd: float) -> np.ndarray:
        x, t = self.batch[:, :1], self.batch[:, 1]
        near = self.inputs[::2]
        changes = self.f(self.w + δ, near) - self.now[::2]
        return np.concatenate(
            [
                (self.f(self.w + δ, x) - t) / np.sqrt(len(x)),
                np.sqrt(fsd / len(near)) * changes,
                np.sqrt(wsd) * δ,
            ]
        )

    def jacobian(self, δ: np.ndarray, fsd: float, wsd: float) -> np.ndarray:
        x, near = self.batch[:, :1], self.inputs[::2]
        w = jnp.asarray(self.w + δ)
        return np.concatenate(
            [
                np.asarray(self.slopes(w, x)) / np.sqrt(len(x)),
                np.sqrt(fsd / len(near)) * np.asarray(self.slopes(w, near)),
                np.sqrt(wsd) * np.eye(len(self.w)),
            ]
        )

    def described(self, δ: np.ndarray, x: Any) -> dict[str, Any]:
        """What is told of an update."""
        w, t = self.w + δ, self.batch[:, 1]
        change = self.f(w, self.inputs) - self.now
        far = (np.abs(self.inputs - self.batch[:, 0]) > 0.4).all(axis=1)
        return {
            "curve": self.f(w, np.asarray(x)[:, None]),
            "loss": np.mean((self.f(w, self.batch[:, :1]) - t) ** 2) / 2,
            "distance": np.mean(change[::2] ** 2) / 2,
            "forgotten": np.sqrt(np.mean(change[far] ** 2)),
            "step_norm": np.linalg.norm(δ),
            "held_out": np.mean((self.f(w, self.inputs) - self.targets[:, 0])[1::2] ** 2) / 2,
        }


@pytest.fixture(scope="module")
def known():
    return Known()


def ask(known: Known, **fields: Any) -> dict[str, Any]:
    return asking.at(PROBLEM, known.w, name="proximal-fit", **FIELDS | fields)


@pytest.fixture(scope="module")
def told(known):
    return ask(known)


def same(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


TERMS = {"loss + WSD": (0.0, η), "loss + FSD": (λ, 1e-6), "loss + WSD + FSD": (λ, η)}


def test_it_tells_what_it_was_asked_and_the_network_before(known, told):
    assert [update["name"] for update in told["updates"]] == list(TERMS)
    np.testing.assert_array_equal(told["batch"], BATCH)
    np.testing.assert_array_equal(told["data"], np.concatenate([known.inputs, known.targets], axis=1))
    assert (told["fsd"], told["wsd"], told["least_wsd"]) == (λ, η, 1e-6)
    same(told["before"], known.described(np.zeros_like(known.w), told["x"]), 1e-12)


def objective(update: dict[str, Any], fsd: float, wsd: float) -> float:
    return update["loss"] + fsd * update["distance"] + wsd / 2 * update["step_norm"] ** 2


def least(known: Known, fsd: float, wsd: float) -> Any:
    """scipy's trust region, from the same start."""
    δ, slopes = np.zeros_like(known.w), cast(Any, known.jacobian)  # scipy's stub knows but a string
    return least_squares(known.residuals, δ, slopes, args=(fsd, wsd), xtol=1e-14, ftol=1e-14, gtol=1e-11)


def test_exact_updates_are_what_least_squares_finds(known):
    """Where WSD leaves no valley to follow: everything that is told, and Q's gradient vanishes."""
    plain, _, both = (update["exact"] for update in ask(known, fsd=0.5, wsd=0.5)["updates"])
    for update, fsd in ((plain, 0.0), (both, 0.5)):
        assert update["gradient_norm"] < 1e-8
        same(update, known.described(least(known, fsd, 0.5).x, ask(known)["x"]), 1e-6)


def test_in_a_valley_they_end_near_the_minimum(known, told):
    _, _, both = (update["exact"] for update in told["updates"])
    assert objective(both, λ, η) < 1.01 * least(known, λ, η).cost
    assert objective(told["updates"][1]["exact"], λ, 1e-6) < 1e-3 * objective(told["before"], λ, 1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_quadratic_updates_are_the_closed_form(known, told, name):
    fsd, wsd = TERMS[name]
    none = np.zeros_like(known.w)
    r, R = known.residuals(none, fsd, wsd), known.jacobian(none, fsd, wsd)
    δ = np.linalg.lstsq(R, -r, rcond=None)[0]
    (update,) = (update["quadratic"] for update in told["updates"] if update["name"] == name)
    same(update, known.described(δ, told["x"]), 1e-9 if "WSD" in name else 1e-6)


def test_each_term_does_what_it_is_for(known):
    """Of a fitted network: the distance is what keeps the function, and a short step alone forgets more."""
    plain, kept, both = (update["exact"] for update in ask(known, fsd=10.0, wsd=0.01)["updates"])
    assert plain["loss"] < 0.1 * ask(known)["before"]["loss"]
    assert kept["forgotten"] < plain["forgotten"]
    assert both["forgotten"] < plain["forgotten"]
    assert both["step_norm"] < kept["step_norm"]


def test_limits_of_the_weights(known):
    """Much λ_WSD and nothing moves; much λ_FSD and the function stays where the distance is taken."""
    still = ask(known, wsd=100.0)["updates"][0]["exact"]
    assert still["step_norm"] < 0.1
    held = [ask(known, fsd=fsd)["updates"][2]["exact"]["distance"] for fsd in (1.0, 100.0, 1e4)]
    assert held[0] > 10 * held[1] > 100 * held[2]


def test_where_nothing_of_the_data_is_away_nothing_is_said_of_it(known):
    problem = {"name": "regression-network", "size": 2}
    x = make_problem("regression-network", size=2).data(0).train.inputs[:, 0]
    where = {"points": 2, "x1": x[0], "x2": x[1]}
    assert np.isnan(asking.at(problem, known.w, name="proximal-fit", **where)["before"]["forgotten"])


def test_moving_points_and_weights_compiles_nothing(known, told):
    compiled = cast(Any, probing._measure)
    before = compiled._cache_size()
    for points in (1, 2, 3):
        ask(known, points=points, x1=0.1 * points, t3=1.0, fsd=0.3, wsd=1.0)
    assert compiled._cache_size() == before


def test_it_is_for_a_curve():
    for name, why in [("linear-regression", "not linear"), ("digits-classifier", "one input"), ("saddle", "one input")]:
        assert why in str(ProximalFit.fit(make_problem(name)))
