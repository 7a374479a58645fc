"""The cost that is typed: its derivatives in closed form, its weights, and how a spec with it is refused."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.spec import SpecError, parse
from tests.oracles import gradient_of, hessian_of, make_problem, objective, value

E = np.e
# (cost, point, gradient, Hessian) where automatic differentiation goes wrong if it is not looked after.
DERIVATIVES = [
    ("x^2", [0.0], [0.0], [[2.0]]),
    ("x^2", [-3.0], [-6.0], [[2.0]]),
    ("x**2.0", [0.0], [0.0], [[2.0]]),
    ("x^(1+1)", [0.0], [0.0], [[2.0]]),
    ("x^(4/2)", [-1.0], [-2.0], [[2.0]]),
    ("x^0", [0.0], [0.0], [[0.0]]),
    ("x^0", [2.0], [0.0], [[0.0]]),
    ("x^1", [0.0], [1.0], [[0.0]]),
    ("x^3", [0.0], [0.0], [[0.0]]),
    ("x^3", [-2.0], [12.0], [[-12.0]]),
    ("x^4", [0.0], [0.0], [[0.0]]),
    ("x^-1", [2.0], [-0.25], [[0.25]]),
    ("x^-2", [-1.0], [2.0], [[6.0]]),
    ("x^1.5", [4.0], [3.0], [[0.375]]),
    ("2^x", [0.0], [np.log(2)], [[np.log(2) ** 2]]),
    ("e^x", [0.0], [1.0], [[1.0]]),
    ("-x^2", [1.0], [-2.0], [[-2.0]]),
    ("x^2*y^2", [0.0, 0.0], [0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]]),
    ("(x - y)^2", [1.0, 1.0], [0.0, 0.0], [[2.0, -2.0], [-2.0, 2.0]]),
    ("x^y", [E, 2.0], [2 * E, E**2], [[2.0, 3 * E], [3 * E, E**2]]),
    ("abs(x)", [-2.0], [-1.0], [[0.0]]),
    ("sqrt(x)", [4.0], [0.25], [[-1 / 32]]),
    ("log(x)", [2.0], [0.5], [[-0.25]]),
    ("sin(x)*cos(y)", [0.0, 0.0], [1.0, 0.0], [[0.0, 0.0], [0.0, 0.0]]),
    ("tan(x)", [0.0], [1.0], [[0.0]]),
    ("asin(x) + acos(x) + x^2", [0.5], [1.0], [[2.0]]),
    ("atan(x)", [1.0], [0.5], [[-0.5]]),
    ("sinh(x) + cosh(x)", [0.0], [1.0], [[1.0]]),
    ("tanh(x)", [0.0], [1.0], [[0.0]]),
    ("y^2", [7.0, 3.0], [0.0, 6.0], [[0.0, 0.0], [0.0, 2.0]]),
]


def cost(text: str) -> Any:
    return objective(make_problem("expression", cost=text))


@pytest.mark.parametrize(("text", "at", "gradient", "hessian"), DERIVATIVES)
def test_derivatives_in_closed_form(text, at, gradient, hessian):
    J, w = cost(text), jnp.asarray(at)
    np.testing.assert_allclose(gradient_of(J, w), gradient, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(hessian_of(J, w), hessian, rtol=1e-13, atol=1e-14)


def test_the_same_cost_typed():
    typed, built_in = cost("(1 - x)^2 + 100*(y - x^2)^2"), objective(make_problem("rosenbrock"))
    for w in np.random.default_rng(0).uniform(-2, 2, (5, 2)):
        for of in (value, gradient_of, hessian_of):
            np.testing.assert_allclose(of(typed, w), of(built_in, w), rtol=1e-12)


@pytest.mark.parametrize(("text", "weights"), [("x^4", ["x"]), ("x*y", ["x", "y"]), ("y^2", ["x", "y"])])
def test_weights_are_the_variables(text, weights):
    problem = make_problem("expression", cost=text)
    assert problem.weights == weights
    assert problem.dimension == len(problem.start(0)) == len(weights)


def test_newton_minimizes_it_in_one_step():
    run = so.run(problem={"name": "expression", "cost": "(x - 3)^2"}, start=[0.0], optimizers=[{"name": "newton"}])
    lane = run.lanes[0]
    assert (lane.status, lane.step, lane.w[-1].tolist()) == ("converged", 1, [3.0])


@pytest.mark.parametrize(("text", "start"), [("log(x)", [-1.0]), ("x^2 + 1/x", [0.0]), ("exp(exp(exp(x)))", [9.0])])
def test_where_it_is_not_defined_the_run_says_so(text, start):
    run = so.run(problem={"name": "expression", "cost": text}, start=start, optimizers=[{"name": "gradient-descent"}])
    assert run.lanes[0].status == "diverged"


def refused(text: object) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse({"problem": {"name": "expression", "cost": text}, "optimizers": [{"name": "newton"}]})
    assert caught.value.status == 422
    return caught.value


def test_a_refusal_names_the_character():
    error = refused("x^2 + * y")
    assert error.at == "problem.cost[6]"
    assert error.message == "at character 7, “*” stands where a number, a variable, a function or “(” is expected"
    assert "x or y" in error.allowed


def test_a_refusal_of_the_whole_names_the_option():
    assert (refused("3").at, refused("3").allowed) == ("problem.cost", ["x", "y"])


def test_its_length_is_looked_at_first():
    error = refused("x" * 1_000_000)
    assert (error.at, error.allowed) == ("problem.cost", {"max_length": 200})


@pytest.mark.parametrize("given", [None, 3, ["x"], {"x": 1}, True])
def test_it_is_a_text(given):
    assert refused(given).at == "problem.cost"


def test_the_start_has_as_many_weights():
    body = {"problem": {"name": "expression", "cost": "x^2"}, "optimizers": [{"name": "newton"}], "start": [1, 2]}
    with pytest.raises(SpecError) as caught:
        parse(body)
    assert (caught.value.at, caught.value.allowed) == ("start", 1)
