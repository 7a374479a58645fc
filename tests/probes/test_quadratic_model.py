"""The quadratic model's coefficients, its minimizer, and what it says where it has none."""

import jax
import numpy as np
import pytest

from secondorder.core import Batch, Objective, Plane, Point
from secondorder.probes.quadratic_model import QuadraticModel
from tests.oracles import derivative, gradient_of, make_problem, value
from tests.probes import asking
from tests.probes.formulas import breast_cancer, himmelblau


@pytest.mark.parametrize("w", [[3.5, 2.2], [0.1, 2.9], [-0.2, -1.0], [1.5, 4.5]])
def test_coefficients_are_the_taylor_expansion_and_the_minimizer_is_newtons_point(w):
    told = asking.at({"name": "himmelblau"}, w, name="quadratic-model")
    J, g, H = himmelblau(w)
    assert np.isclose(told["loss"], J, rtol=1e-13)
    np.testing.assert_allclose(told["gradient"], g, rtol=1e-12)
    np.testing.assert_allclose(told["hessian"], H, rtol=1e-12)
    np.testing.assert_array_equal(told["at"], w)
    ν = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(told["eigenvalues"], ν, rtol=1e-12)
    assert told["bounded"] is bool(ν[0] > 0)
    assert told["matrix"] == "hessian"
    if ν[0] > 0:
        np.testing.assert_allclose(told["minimizer"], w - np.linalg.solve(H, g), rtol=1e-12)
    else:
        assert told["minimizer"] is None


def test_a_flat_model_has_no_minimizer():
    """Rosenbrock's H is diag(0, 200) at (0, 1/200), with a slope along the flat direction."""
    told = asking.at({"name": "rosenbrock"}, [0.0, 0.005], name="quadratic-model")
    np.testing.assert_allclose(told["hessian"], np.diag([0.0, 200.0]), rtol=1e-15)
    assert (told["bounded"], told["minimizer"]) == (False, None)


def test_it_agrees_with_the_cost_to_third_order():
    w, d = np.array([1.5, 4.5]), np.array([0.6, -0.8])
    told = asking.at({"name": "himmelblau"}, w, name="quadratic-model")
    errors = [
        himmelblau(w + s * d)[0] - (told["loss"] + s * told["gradient"] @ d + s**2 * d @ told["hessian"] @ d / 2)
        for s in (0.1, 0.05, 0.025)
    ]
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 8, rtol=0.1)


def test_in_a_slice_it_is_the_model_within_the_plane_and_the_whole_spectrums_ends(sliced):
    told = asking.of(sliced, 1, 4, name="quadratic-model")
    w = sliced.lanes[1].w[4]
    J, g, H = breast_cancer(w)
    origin, axes = np.array(told["plane"]["origin"]), np.array(told["plane"]["axes"])
    assert np.isclose(told["loss"], J, rtol=1e-13)
    np.testing.assert_allclose(told["at"], axes @ (w - origin), atol=1e-12)
    np.testing.assert_allclose(told["gradient"], axes @ g, atol=1e-13)
    np.testing.assert_allclose(told["hessian"], axes @ H @ axes.T, atol=1e-13)
    np.testing.assert_allclose(told["eigenvalues"], np.linalg.eigvalsh(H)[[0, -1]], rtol=1e-11)
    step = -np.linalg.solve(axes @ H @ axes.T, axes @ g)
    np.testing.assert_allclose(told["minimizer"], told["at"] + step, atol=1e-10)


def test_of_more_weights_than_a_spectrum_allows_the_plane_is_measured_alone():
    problem = make_problem("digits-classifier", dtype="float64")
    J = Objective(problem, Batch(*(part[:5] for part in problem.data(0).train)))
    w, rng = problem.start(0), np.random.default_rng(0)
    plane = Plane(w + 0.01, np.linalg.qr(rng.standard_normal((len(w), 2)))[0].T)
    found = jax.jit(QuadraticModel().measure)(J, Point(w, plane, np.zeros((2, 2)), np.nan))
    assert np.isclose(found["loss"], value(J, w))
    np.testing.assert_allclose(found["gradient"], plane.axes @ gradient_of(J, w), atol=1e-14)
    model = [derivative(lambda s, u=u: plane.axes @ gradient_of(J, w + s * u)) for u in plane.axes]
    np.testing.assert_allclose(found["hessian"], model, atol=1e-9)
    np.testing.assert_allclose(found["eigenvalues"], np.linalg.eigvalsh(found["hessian"]), atol=1e-14)
