"""The block-tridiagonal step against matrices written out, K-FAC where there is one layer, and what is refused."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

import secondorder as so
from secondorder.core import Batch
from tests.curvature.networks import chain_inverse, factors_by_hand, own
from tests.oracles import gradient_of, make_optimizer, make_problem, objective

NAME = "kfac-block-tridiagonal"
# Nothing but the matrix: statistics of this batch alone, in exact expectation, and the step as it comes.
PLAIN = {"adapt": "fixed", "adapt_gamma": False, "statistics": "exact", "refresh": 1, "decay": 0.0}
BARE = PLAIN | {"rescale": False, "momentum": False}
LINEAR = {"widths": (4, 6, 3, 6, 4), "linear": (2,)}


def damped(found: dict[str, list], γ: float) -> dict[str, list]:
    """Factors with πγ and γ/π on their diagonals."""
    A, S = [], []
    for a, s in zip(found["A"], found["S"], strict=True):
        π = np.sqrt((np.trace(a) / len(a)) / (np.trace(s) / len(s)))
        A.append(a + π * γ * np.eye(len(a)))
        S.append(s + γ / π * np.eye(len(s)))
    return found | {"A": A, "S": S}


def test_a_step_is_that_of_the_matrix_written_out():
    run = so.run(problem={"name": "regression-network", "size": 30, "l2": 0.02},
                 optimizers=[{"name": NAME, "damping": 0.3, "rate": 0.5} | BARE], steps=2)  # fmt: skip
    problem = make_problem("regression-network", size=30, l2=0.02)
    J, w = objective(problem), problem.start(0)
    for k in range(2):
        C = chain_inverse(**damped(factors_by_hand(J, w), np.sqrt(0.3 + 0.02)))
        δ = -0.5 * C @ np.asarray(gradient_of(J, w))
        assert run.lanes[0].step_norm[k + 1] == pytest.approx(np.linalg.norm(δ), rel=1e-9)
        w = w + δ
        assert run.lanes[0].loss[k + 1] == pytest.approx(float(jax.jit(J)(w)), rel=1e-9)


def test_one_layer_has_no_neighbour_and_is_k_facs():
    def lane(name: str) -> Any:
        optimizers = [{"name": name, "damping": 0.2} | PLAIN]
        return so.run(problem={"name": "logistic-regression"}, optimizers=optimizers, steps=6).lanes[0]

    np.testing.assert_allclose(lane(NAME).loss, lane("kfac").loss, rtol=1e-10)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (
            {"name": "digits-classifier", "widths": [64, 3, 10], "dtype": "float64"},
            "a damped Kronecker factor is singular",
        ),
        ({"name": "regression-network", "size": 10}, "a damped Kronecker factor is singular"),
    ],
)
def test_what_does_not_exist_undamped_stops_the_lane_by_name(problem, says):
    run = so.run(problem=problem, optimizers=[{"name": NAME, "damping": 0.0}], steps=3)
    assert run.lanes[0].status == "stopped"
    assert run.lanes[0].reason == f"{says} at step 0"


@pytest.mark.parametrize(
    ("options", "damping", "refusal"),
    [(LINEAR, 0.0, 3), (LINEAR, 1e-12, 0), (LINEAR | {"linear": ()}, 0.0, 0), ({"loss_on": "softmax"}, 0.0, 2)],
)
def test_a_linear_layer_is_refused_undamped_by_a_sentence_of_its_own(options, damping, refusal):
    J, w = own(**options)
    optimizer = make_optimizer(NAME, **{"damping": damping} | PLAIN)

    @jax.jit
    def step(J, w):
        return optimizer.step(J, w, optimizer.init(J, w))

    taken = step(J, w)
    assert int(taken.refused) == refusal
    assert refusal or np.all(np.isfinite(taken.delta))
    if refusal == 3:
        assert "linear function of the next layer's" in optimizer.refusals[refusal - 1]


def test_statistics_that_are_not_finite_are_named():
    J, w = own()
    J = dataclasses.replace(J, batch=Batch(np.full_like(J.batch.inputs, np.inf), J.batch.targets))
    optimizer = make_optimizer(NAME, **PLAIN)

    @jax.jit
    def step(J, w):
        return optimizer.step(J, w, optimizer.init(J, w)).refused

    assert optimizer.refusals[int(step(J, w)) - 1] == "a Kronecker factor is not finite"
