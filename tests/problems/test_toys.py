"""Toys against their formulas written in numpy, and their minima."""

from typing import Any

import numpy as np
import pytest

from secondorder import catalog
from secondorder.core import TOY, Objective
from tests.oracles import gradient_of, hessian_of, value

RNG = np.random.default_rng(2)

FORMULAS = {
    "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "beale": lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
    "saddle": lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4,
}
MINIMA = {
    "rosenbrock": ([[1, 1]], 0.0),
    "himmelblau": ([[3, 2], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]], 0.0),
    "beale": ([[3, 0.5]], 0.0),
    "saddle": ([[0, 1], [0, -1]], -0.25),
}


def cost(name) -> Any:
    return Objective(catalog.all_problems()[name](), TOY)


@pytest.mark.parametrize("name", FORMULAS)
def test_costs_are_their_formulas(name):
    for w in RNG.uniform(-3, 3, (5, 2)):
        assert np.isclose(value(cost(name), w), FORMULAS[name](*w), rtol=1e-13)


@pytest.mark.parametrize("name", FORMULAS)
def test_minima_are_where_the_literature_has_them(name):
    J = cost(name)
    points, lowest = MINIMA[name]
    for w in np.array(points, float):
        assert np.isclose(value(J, w), lowest, atol=1e-9)
        np.testing.assert_allclose(gradient_of(J, w), 0, atol=1e-4)
        assert np.linalg.eigvalsh(hessian_of(J, w))[0] > 0.1
        (x0, x1), (y0, y1) = J.problem.window
        assert x0 < w[0] < x1
        assert y0 < w[1] < y1


def test_the_saddle_has_curvatures_one_and_minus_one():
    J = cost("saddle")
    np.testing.assert_array_equal(gradient_of(J, np.zeros(2)), [0, 0])
    np.testing.assert_array_equal(hessian_of(J, np.zeros(2)), np.diag([1.0, -1.0]))
