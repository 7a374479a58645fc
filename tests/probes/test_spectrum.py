"""Spectra of H, G and F against numpy, the gradient's components, and the damping's filter."""

from typing import Any

import jax
import numpy as np
import pytest

from secondorder.core import Batch, Objective
from secondorder.lanczos import WIDTH
from secondorder.run import answers
from secondorder.spec import parse_probe
from tests.oracles import gauss_newton_of, gradient_of, hessian_of, make_problem
from tests.probes import asking
from tests.probes.formulas import X, breast_cancer, himmelblau

W = np.array([0.3, -1.0, 0.5, 0.2, 0.4])
MATRICES = {
    "hessian": lambda w: breast_cancer(w)[2],
    "gauss-newton": lambda w: breast_cancer(w)[2] - 0.01 * np.diag([1.0, 1, 1, 1, 0]),
    "fisher": lambda w: breast_cancer(w)[2] - 0.01 * np.diag([1.0, 1, 1, 1, 0]),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_eigenvalues_ascend_and_components_lie_along_the_eigenvectors(matrix):
    told = asking.at(asking.PROBLEM, W, name="spectrum", matrix=matrix)
    C, g = MATRICES[matrix](W), breast_cancer(W)[1]
    ν, Q = np.linalg.eigh(C)
    np.testing.assert_allclose(told["eigenvalues"], ν, rtol=1e-11)
    np.testing.assert_allclose(np.abs(told["gradient"]), np.abs(Q.T @ g), atol=1e-13)
    assert np.isclose(np.sum(np.square(told["gradient"])), g @ g, rtol=1e-12)
    assert (told["matrix"], told["method"]) == (matrix, "exact")
    assert (told["damping"], told["filter"]) == (None, None)


@pytest.mark.parametrize("w", [[3.5, 2.2], [0.1, 2.9], [-0.2, -1.0]])
def test_an_indefinite_hessian_of_two_weights(w):
    told = asking.at({"name": "himmelblau"}, w, name="spectrum", damping=2.0)
    _, g, H = himmelblau(w)
    ν, Q = np.linalg.eigh(H)
    np.testing.assert_allclose(told["eigenvalues"], ν, rtol=1e-12)
    np.testing.assert_allclose(np.abs(told["gradient"]), np.abs(Q.T @ g), rtol=1e-11)
    np.testing.assert_allclose(told["filter"], ν / (ν + 2.0), rtol=1e-12)
    assert told["damping"] == 2.0


def test_the_filter_is_the_share_of_newtons_step_that_damping_leaves(sliced):
    """In a run with the lane's own damping: δ = Σ_j filter_j (-g_j/ν_j) q_j, the step that the lane took."""
    told = asking.of(sliced, 0, 3, name="spectrum")
    lane = sliced.lanes[0]
    assert told["damping"] == 0.05
    ν, share, g = (np.asarray(told[name]) for name in ("eigenvalues", "filter", "gradient"))
    assert np.isclose(np.linalg.norm(share * g / ν), lane.step_norm[4], rtol=1e-10)
    assert np.isclose(-np.sum(share * g**2 / ν), lane.slope[4], rtol=1e-10)
    assert asking.of(sliced, 1, 3, name="spectrum")["filter"] is None


@pytest.fixture(scope="module")
def network():
    problem = make_problem("regression-network", size=20)
    w = problem.start(3)
    return Objective(problem, Batch(*problem.data(0).train)), w


@pytest.mark.parametrize("matrix", ["empirical-fisher", "diagonal"])
def test_the_others_of_a_network(network, matrix):
    J, w = network
    told = asking.at({"name": "regression-network", "size": 20}, w, name="spectrum", matrix=matrix)
    C, g = np.asarray(MATRIX[matrix](J, w)), np.asarray(gradient_of(J, w))
    ν, along = np.asarray(told["eigenvalues"]), np.asarray(told["gradient"])
    np.testing.assert_allclose(ν, np.linalg.eigvalsh(C), atol=1e-13 * ν[-1])
    assert np.sum(along**2) == pytest.approx(g @ g, rel=1e-12)
    assert np.sum(ν * along**2) == pytest.approx(g @ C @ g, rel=1e-10)


@pytest.mark.parametrize("matrix", ["gauss-newton", "fisher"])
def test_a_matrix_of_low_rank_has_zeros_and_the_rest_of_the_gradient(network, matrix):
    """20 examples with one output: G has 20 eigenvalues, and 301 zeros that are told as such."""
    J, w = network
    told = asking.at({"name": "regression-network", "size": 20}, w, name="spectrum", matrix=matrix, damping=0.1)
    G, g = np.asarray(gauss_newton_of(J, w)), np.asarray(gradient_of(J, w))
    ν, Q = np.linalg.eigh(G)
    eigenvalues, along = np.asarray(told["eigenvalues"]), np.asarray(told["gradient"])
    assert eigenvalues.shape == along.shape == (321,)
    np.testing.assert_array_equal(eigenvalues[:301], 0)
    np.testing.assert_allclose(eigenvalues, ν, atol=1e-13 * ν[-1])
    assert np.all(eigenvalues >= 0)
    assert np.isclose(np.sum(along**2), g @ g, rtol=1e-12)
    # Where an eigenvalue stands clear of its neighbours and of rounding, its eigenvector is numpy's.
    clear = ν > 1e-6 * ν[-1]
    assert clear.sum() >= 5
    np.testing.assert_allclose(np.abs(along[clear]), np.abs(Q.T @ g)[clear], rtol=1e-6, atol=1e-12)
    # Without l2 term the gradient is in G's range.
    assert np.abs(along[300]) < 1e-6 * np.linalg.norm(g)
    np.testing.assert_allclose(told["filter"], eigenvalues / (eigenvalues + 0.1), rtol=1e-14)


def test_with_an_l2_term_what_lies_outside_the_range_is_told_as_one_component():
    problem = make_problem("regression-network", size=20, l2=0.5)
    w = problem.start(3)
    J = Objective(problem, Batch(*problem.data(0).train))
    told = asking.at({"name": "regression-network", "size": 20, "l2": 0.5}, w, name="spectrum", matrix="gauss-newton")
    g, along = np.asarray(gradient_of(J, w)), np.asarray(told["gradient"])
    ν, Q = np.linalg.eigh(np.asarray(gauss_newton_of(J, w)))
    assert np.isclose(np.sum(along**2), g @ g, rtol=1e-12)
    # The space below 1e-8 of the largest curvature is the same to 1e-8, whoever chooses its basis.
    told_low, low = np.asarray(told["eigenvalues"]) < 1e-8 * ν[-1], ν < 1e-8 * ν[-1]
    assert np.sum(told_low) == np.sum(low) >= 301
    assert np.isclose(np.linalg.norm(along[told_low]), np.linalg.norm(Q[:, low].T @ g), rtol=1e-7)
    assert np.all(along[:300] == 0)
    assert along[300] > 0.9 * np.linalg.norm(along[told_low])


def test_the_hessian_of_a_network_is_indefinite_and_told_whole(network):
    J, w = network
    told = asking.at({"name": "regression-network", "size": 20}, w, name="spectrum")
    H, g = np.asarray(hessian_of(J, w)), np.asarray(gradient_of(J, w))
    ν = np.linalg.eigvalsh(H)
    assert ν[0] < -0.01
    np.testing.assert_allclose(told["eigenvalues"], ν, atol=1e-13 * ν[-1])
    assert np.isclose(np.sum(np.square(told["gradient"])), g @ g, rtol=1e-12)
    # Σ_j ν_j g_j² = gᵀHg
    assert np.isclose(np.sum(told["eigenvalues"] * told["gradient"] ** 2), g @ H @ g, rtol=1e-10)


# --- by stochastic Lanczos quadrature ---------------------------------------------------------------------------------

SMALL = {"name": "regression-network", "size": 20}


@jax.jit
def empirical_fisher_of(J, w):
    """The examples' gradients by one Jacobian of all their losses."""
    problem, (x, t) = J.problem, J.batch
    g = jax.jacrev(lambda w: jax.vmap(problem.likelihood.loss)(problem.outputs(w, x), t))(w)
    return g.T @ g / len(x)


def diagonal_of(J, w):
    return np.diag(np.diag(gauss_newton_of(J, w)))


MATRIX = {
    "hessian": hessian_of,
    "gauss-newton": gauss_newton_of,
    "fisher": gauss_newton_of,
    "empirical-fisher": empirical_fisher_of,
    "diagonal": diagonal_of,
}


def estimated(w: np.ndarray, **asked: Any) -> list[dict[str, Any]]:
    """What is told after each stage."""
    body = {"problem": SMALL, "at": w.tolist(), "probe": {"name": "spectrum", "method": "lanczos", **asked}}
    return [answer.data for answer in answers(parse_probe(body))]


@pytest.fixture(scope="module", params=MATRIX)
def stages(request, network):
    J, w = network
    asked = {"matrix": request.param, "probes": 30, "iterations": 40, "damping": 0.1}
    return np.asarray(MATRIX[request.param](J, w)), np.asarray(gradient_of(J, w)), estimated(w, **asked)


def test_the_gradients_measure_has_the_moments_of_the_matrix(stages):
    C, g, (*_, told) = stages
    ν, along = np.asarray(told["eigenvalues"]), np.asarray(told["gradient"])
    size, u = np.linalg.norm(C, 2), g
    for m in range(80):
        assert np.sum(along**2 * (ν / size) ** m) == pytest.approx(g @ u, rel=1e-9)
        u = C @ u / size
    np.testing.assert_allclose(told["filter"], ν / (ν + 0.1), rtol=1e-12)


def test_the_random_probes_tell_traces(stages):
    """The mean of D Σ_k ω_k ν_k^m estimates tr C^m; what it misses is within four of its own standard errors."""
    C, _, (*_, told) = stages
    ν, ω = np.asarray(told["nodes"]), np.asarray(told["weights"])
    assert ν.shape == ω.shape == (30, 40)
    for m, exact in enumerate([len(C), np.trace(C), np.sum(C * C)]):
        each = len(C) * np.sum(ω * ν**m, axis=1)
        assert abs(each.mean() - exact) <= 4 * each.std() / np.sqrt(30) + 1e-9 * exact


def test_the_extremes_are_the_matrixs(stages):
    C, _, (*_, told) = stages
    ν = np.linalg.eigvalsh(C)
    low, high = told["extremes"]
    assert high == pytest.approx(ν[-1], rel=1e-9)
    # Of the diagonal the smallest are many and near to one another: they take longer, and come from the inside.
    assert -1e-12 * ν[-1] < low - ν[0] < 1e-4 * ν[-1]


def test_the_density_is_that_of_the_eigenvalues(stages):
    """The area between it and the eigenvalues, blurred by WIDTH alone: what 30 probes and 40 iterations leave open."""
    C, _, (*_, told) = stages
    scale, grid, found = told["density"].values()
    u, ν = (np.arcsinh(np.asarray(part) / scale) / np.log(10) for part in (grid, np.linalg.eigvalsh(C)))
    exact = np.mean(np.exp(-0.5 * ((u[:, None] - ν) / WIDTH) ** 2), axis=1) / (WIDTH * np.sqrt(2 * np.pi))
    assert np.trapezoid(np.abs(found - exact), u) < 0.08
    assert scale < 0.05 * np.linalg.norm(C, 2)


def test_what_comes_after_each_stage(stages):
    """The first probe is there first, then the gradient's own run, then the other probes; what was told stays."""
    *_, told = stages
    assert [answer["done"] for answer in told] == [1, 1, *range(2, 31)]
    assert [answer["gradient"] is None for answer in told] == [True] + [False] * 30
    for answer in told:
        assert (answer["method"], answer["probes"], answer["iterations"]) == ("lanczos", 30, 40)
        np.testing.assert_array_equal(answer["nodes"], told[-1]["nodes"][: answer["done"]])
        np.testing.assert_array_equal(answer["weights"], told[-1]["weights"][: answer["done"]])
    assert len({tuple(row) for row in np.asarray(told[-1]["nodes"]).tolist()}) == 30, "no two probes are the same"


def test_the_same_question_has_the_same_answer(network):
    _, w = network
    one, two = (estimated(w, probes=2, iterations=8)[-1] for _ in range(2))
    np.testing.assert_array_equal(one["nodes"], two["nodes"])


def test_of_few_weights_no_more_iterations_than_weights():
    told = asking.at({"name": "himmelblau"}, [3.5, 2.2], name="spectrum", method="lanczos")
    _, g, H = himmelblau([3.5, 2.2])
    ν, Q = np.linalg.eigh(H)
    assert told["iterations"] == 2
    np.testing.assert_allclose(told["eigenvalues"], ν, rtol=1e-12)
    np.testing.assert_allclose(told["gradient"], np.abs(Q.T @ g), rtol=1e-11)
    np.testing.assert_allclose(told["nodes"], np.tile(ν, (10, 1)), rtol=1e-12)


def test_of_many_weights_it_is_the_method_in_float32_too():
    """A classifier of 1210 weights: its largest eigenvalues are those that G's own factor has."""
    problem = make_problem("digits-classifier", widths=(64, 16, 10))
    told = asking.at({"name": "digits-classifier", "widths": [64, 16, 10]}, problem.start(0), name="spectrum",
                     matrix="gauss-newton", probes=1)  # fmt: skip
    assert (told["method"], told["nodes"].dtype) == ("lanczos", np.float32)
    J = Objective(problem, Batch(*problem.data(0).train))
    ν = np.linalg.eigvalsh(np.asarray(gauss_newton_of(J, problem.start(0))))
    np.testing.assert_allclose(told["extremes"][1], ν[-1], rtol=1e-5)
    np.testing.assert_allclose(told["eigenvalues"][-5:], ν[-5:], rtol=1e-4)
    assert told["extremes"][0] > -1e-5 * ν[-1]


def test_a_point_where_nothing_is_finite_is_answered():
    problem = {"name": "regression-network", "size": 4, "dtype": "float32"}
    told = asking.at(problem, [1e30] * 321, name="spectrum", method="lanczos", probes=1, iterations=4)
    assert np.all(np.isnan(told["nodes"]))
    assert np.all(np.isnan(told["density"]["density"]))


def test_of_many_weights_a_diagonal_is_still_exact():
    """Its entries are told one by one, and their density with them, to be compared with the other matrices'."""
    problem = make_problem("digits-classifier", widths=(64, 16, 10))
    told = asking.at({"name": "digits-classifier", "widths": [64, 16, 10]}, problem.start(0), name="spectrum",
                     matrix="diagonal")  # fmt: skip
    J = Objective(problem, Batch(*problem.data(0).train))
    d, g = np.diag(gauss_newton_of(J, problem.start(0))), np.asarray(gradient_of(J, problem.start(0)))
    assert (told["method"], len(told["eigenvalues"])) == ("exact", 1210)
    np.testing.assert_allclose(told["eigenvalues"], np.sort(d), rtol=1e-4, atol=1e-9)
    # Entries that are equal to rounding may come in any order.
    assert np.sum(told["gradient"] ** 2) == pytest.approx(g @ g, rel=1e-5)
    assert np.sum(told["eigenvalues"] * told["gradient"] ** 2) == pytest.approx(g @ (d * g), rel=1e-4)
    u = np.arcsinh(np.asarray(told["density"]["eigenvalues"]) / told["density"]["scale"]) / np.log(10)
    assert np.trapezoid(told["density"]["density"], u) == pytest.approx(1, abs=1e-5)


def test_the_data_behind_the_formulas_are_the_problems():
    assert X.shape == (569, 5)
