"""Proximal updates: the methods that are members of the family, what an exact optimum satisfies, and the limits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.core import Batch, Objective
from secondorder.optimizers.proximal import Proximal
from secondorder.proximal import proximal_objective
from secondorder.spec import SpecError, parse
from tests.oracles import gauss_newton_of, gradient_of, make_optimizer, make_problem, path, small

PROBLEMS = ["rosenbrock", "logistic-cost", "linear-regression", "logistic-regression", "regression-network"]
take = jax.jit(lambda optimizer, J, w, state: optimizer.step(J, w, state))


def step(J: Any, w: Any, state: Any = (), **fields: Any) -> Any:
    return take(make_optimizer("proximal", **{"rate": 0.1} | fields), J, jnp.asarray(w), state)


def agree(found: Any, expected: Any) -> None:
    """To 1e-10 of the step's length."""
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * max(float(np.linalg.norm(expected)), 1.0))


def step_of(name: str, J: Any, w: Any, **fields: Any) -> np.ndarray:
    return path(make_optimizer(name, **fields), J, w, 1)[1] - w


# --- members of the family --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["closed", "cg", "gradient"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_linear_loss_without_distance_is_gradient_descent_with_rate_1_over_wsd(name, solver):
    J, w = small(name)
    fields = {"loss": "linear", "distance": "none", "solver": solver}
    found = step(J, w, wsd=8.0, rate=1e9, iterations=3.0, **fields)  # so that gradient steps have size 1/λ_WSD
    agree(found.delta, step_of("gradient-descent", J, w, rate=1 / 8))
    assert found.refused == 0


@pytest.mark.parametrize("solver", ["closed", "cg"])
@pytest.mark.parametrize(("matrix", "other"), [("hessian", "damped-newton"), ("gauss-newton", "gauss-newton")])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_quadratic_loss_without_distance_is_damped_newton_or_gauss_newton(name, matrix, other, solver):
    J, w = small(name)
    η = 5.0  # H is positive definite with it
    fields = {"loss": "quadratic", "matrix": matrix, "distance": "none", "solver": solver}
    found = step(J, w, wsd=η, iterations=1000.0, **fields)
    agree(found.delta, step_of(other, J, w, damping=η))
    assert found.refused == 0


@pytest.mark.parametrize("solver", ["closed", "cg"])
@pytest.mark.parametrize("name", ["logistic-cost", "linear-regression", "regression-network"])
def test_a_linear_loss_with_a_quadratic_distance_is_natural_gradient(name, solver):
    """Damped by λ_WSD/λ_FSD, scaled by 1/λ_FSD; without an l2 term, whose Hessian natural gradient adds to F."""
    problem = make_problem(name, l2=0.0) if name != "logistic-cost" else make_problem(name)
    J = Objective(problem, Batch(*(part[:20] for part in problem.data(0).train)))
    w = problem.start(0) + 0.1
    λ, wsd = 4.0, 0.6
    found = step(J, w, loss="linear", distance="quadratic", fsd=λ, wsd=wsd, solver=solver, iterations=1000.0)
    agree(found.delta, step_of("natural-gradient", J, w, damping=wsd / λ) / λ)
    assert found.refused == 0


@pytest.mark.parametrize("K", [1, 2, 7])
@pytest.mark.parametrize("name", ["rosenbrock", "logistic-regression", "digits-classifier"])
def test_an_exact_loss_alone_by_gradient_is_k_gradient_steps_on_a_batch(name, K):
    J, w = small(name)
    fields = {"loss": "exact", "distance": "none", "solver": "gradient"}
    found = step(J, w, fsd=3.0, wsd=0.0, rate=1e-3, iterations=float(K), **fields)
    many = path(make_optimizer("gradient-descent", rate=1e-3), J, w, K)
    agree(found.delta, many[-1] - w)
    assert found.passes == K


def test_all_terms_quadratic_is_one_linear_system():
    """(C + λ_FSD G + λ_WSD I)δ = -g, the l2 term's Hessian in C alone."""
    J, w = small("regression-network")
    G, g = np.asarray(gauss_newton_of(J, w)), np.asarray(gradient_of(J, w))
    C = G + 0.03 * np.eye(len(w))
    expected = -np.linalg.solve(C + 3 * G + 0.1 * np.eye(len(w)), g)
    for solver in ("closed", "cg"):
        fields = {"loss": "quadratic", "distance": "quadratic", "solver": solver}
        found = step(J, w, fsd=3.0, wsd=0.1, iterations=1000.0, **fields)
        agree(found.delta, expected)


# --- exact terms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("logistic-regression", "gauss-newton"),
        ("regression-network", "gauss-newton"),
        ("regression-network", "hessian"),
        ("digits-classifier", "hessian"),  # where the Gauss-Newton matrix converges, but linearly
    ],
)
def test_the_exact_optimum_is_stationary(name, matrix):
    """∇J(w + δ) + λ_FSD E[Jzwᵀ(∇A(z) - ∇A(z_k))] + λ_WSD δ = 0, the mean of the model's targets ∇A by hand."""
    J, w = small(name)
    J = Objective(J.problem, Batch(*(jnp.asarray(part) for part in J.batch)))
    found = step(J, w, fsd=2.0, wsd=0.1, iterations=1000.0, rounds=100.0, matrix=matrix)
    mean = {"logistic-regression": jax.nn.sigmoid, "digits-classifier": jax.nn.softmax}.get(name, lambda z: z)

    @jax.jit
    def rest(w, δ):
        z, pull_back = jax.vjp(lambda w: J.problem.outputs(w, J.batch.inputs), w + δ)
        Dz = mean(z) - mean(J.problem.outputs(w, J.batch.inputs))
        return J.gradient(w + δ) + 2.0 * pull_back(Dz / len(z))[0] + 0.1 * δ

    assert np.linalg.norm(rest(w, found.delta)) < 1e-8
    assert np.linalg.norm(found.delta) > 0.1


def test_k_gradient_steps_on_the_exact_objective_are_those_steps():
    J, w = small("regression-network")
    found = step(J, w, fsd=2.0, wsd=0.5, rate=0.1, iterations=4.0, solver="gradient")
    α = 1 / (3 / 0.1 + 0.5)
    z_k = J.problem.outputs(w, J.batch.inputs)

    def Q(δ):
        return J(w + δ) + jnp.mean((J.problem.outputs(w + δ, J.batch.inputs) - z_k) ** 2) + 0.25 * δ @ δ

    δ = jnp.zeros_like(w)
    for _ in range(4):
        δ = δ - α * jax.grad(Q)(δ)
    agree(found.delta, δ)
    assert found.passes == 4  # the lecture's: as dear as 4 gradient steps


# --- limits -----------------------------------------------------------------------------------------------------------


def test_with_much_weight_on_the_weights_a_linear_loss_tends_to_gradient_descent():
    J, w = small("regression-network")
    g, errors = np.asarray(gradient_of(J, w)), []
    for wsd in (1e2, 1e3, 1e4):
        for distance in ("quadratic", "exact"):
            found = step(J, w, loss="linear", distance=distance, wsd=wsd, iterations=1000.0, rounds=30.0)
            errors.append(np.linalg.norm(wsd * found.delta + g) / np.linalg.norm(g))
    np.testing.assert_allclose(np.array(errors[2:]) / errors[:-2], 0.1, rtol=0.1)  # falls as 1/λ_WSD


def frozen(J: Any, w: Any, elsewhere: Any, **fields: Any) -> Any:
    """A step with the distance on the inputs of the step before, and how outputs change there and on the batch."""
    found = step(J, w, elsewhere, distance_on="previous", iterations=1000.0, rounds=100.0, **fields)
    f = J.problem.outputs
    moved = [np.asarray(f(w + found.delta, x) - f(w, x)) for x in (elsewhere, J.batch.inputs)]
    return np.asarray(found.delta), *moved


def test_with_much_weight_on_the_function_it_is_frozen_there_and_the_weights_move_on():
    """In the null space of the Jacobian of the outputs there, to first order."""
    problem = make_problem("regression-network")
    x, t = problem.data(0).train
    J, elsewhere, w = Objective(problem, Batch(x[:10], t[:10])), jnp.asarray(x[49::50]), jnp.asarray(problem.start(0))
    free, _, wanted = frozen(J, w, elsewhere, fsd=0.0, wsd=0.5)
    δ, held, moved = frozen(J, w, elsewhere, fsd=1e6, wsd=0.5)
    assert np.abs(held).max() < 1e-3 * np.abs(wanted).max()
    assert np.abs(moved).max() > 0.1 * np.abs(wanted).max()
    assert np.linalg.norm(δ) > 0.1 * np.linalg.norm(free)

    # In the limit, with a quadratic distance: the gradient step in the null space of its Jacobian, exactly.
    A = np.asarray(jax.jacrev(lambda w: problem.outputs(w, elsewhere)[:, 0])(w))
    g = np.asarray(gradient_of(J, w))
    P = np.eye(len(g)) - np.linalg.pinv(A) @ A
    limit = {"loss": "linear", "distance": "quadratic", "fsd": 1e6, "wsd": 0.1, "solver": "closed"}
    found = step(J, w, elsewhere, distance_on="previous", **limit)
    np.testing.assert_allclose(found.delta, -P @ g / 0.1, atol=1e-4 * float(np.linalg.norm(g)))


def test_on_the_batch_itself_then_nothing_moves():
    J, w = small("regression-network")
    J, w = Objective(J.problem, Batch(*(part[::7] for part in J.batch))), jnp.asarray(w)
    changes = []
    for fsd in (1e4, 1e5, 1e6):
        found = step(J, w, fsd=fsd, wsd=0.1, iterations=1000.0, rounds=100.0)
        change = J.problem.outputs(w + found.delta, J.batch.inputs) - J.problem.outputs(w, J.batch.inputs)
        changes.append(float(jnp.linalg.norm(change)))
    np.testing.assert_allclose(np.array(changes[1:]) / changes[:-1], 0.1, rtol=0.3)


@pytest.mark.parametrize(("generic", "slope"), [(True, 3), (False, 4)])
def test_quadratic_and_exact_distance_agree_to_second_order(generic, slope):
    """To third order at w = 0 of a logistic model: log cosh is even there."""
    J, w = small("logistic-regression")
    w = w if generic else 0 * w
    δ = 0.1 * np.random.default_rng(3).standard_normal(len(w))

    @jax.jit
    def difference(w, δ):
        exact, quadratic = (
            proximal_objective(J, w, loss="linear", distance=distance, matrix="gauss-newton", fsd=1.0, wsd=0.0)
            for distance in ("exact", "quadratic")
        )
        return exact.value(δ) - quadratic.value(δ)

    scales = np.logspace(-1.5, -0.5, 9)
    gaps = np.abs([difference(w, scale * δ) for scale in scales])
    assert np.isclose(np.polyfit(np.log(scales), np.log(gaps), 1)[0], slope, atol=0.1)


# --- where the distance is taken --------------------------------------------------------------------------------------


CLASSIFIER = make_problem("digits-classifier", widths=(64, 4, 10), batch=16, dtype="float64")
SHARE = 16 / 1797


def on_data(**fields: Any) -> Any:
    """A first step whose distance is taken on all the data."""
    data = jax.tree.map(jnp.asarray, CLASSIFIER.data(0).train)
    J = Objective(CLASSIFIER, data, 0, jax.random.key(5))
    return step(J, CLASSIFIER.start(0), distance_on="data", **fields)


def test_on_all_the_data_the_function_stays_everywhere():
    x, w = jnp.asarray(CLASSIFIER.data(0).train.inputs), CLASSIFIER.start(0)
    changes = []
    for fsd in (0.0, 10.0, 1000.0):
        z, z_k = (CLASSIFIER.outputs(jnp.asarray(u), x) for u in (w + on_data(fsd=fsd).delta, w))
        changes.append(float(jnp.linalg.norm(z - z_k)))
    assert changes[0] > 3 * changes[1] > 60 * changes[2] > 0


def test_beside_all_the_data_another_batch_is_drawn_for_each_step():
    """Steps so short that only the batch can make their directions differ; without a distance they cost its passes."""
    lane = so.run(
        problem={"name": "digits-classifier", "widths": [64, 4, 10], "batch": 16},
        optimizers=[{"name": "proximal", "distance_on": "data", "loss": "linear", "distance": "none", "wsd": 1e3}],
        steps=2,
    ).lanes[0]
    first, second = np.diff(lane.w, axis=0)
    assert first @ second < 0.95 * np.linalg.norm(first) * np.linalg.norm(second)
    assert lane.passes[2] == pytest.approx(2 * SHARE)


def test_where_all_the_data_are_the_batch_they_are_one():
    J, w = small("regression-network")
    found = step(J, w)
    np.testing.assert_array_equal(found.delta, step(J, w, distance_on="data").delta)
    previous = step(J, w, jnp.asarray(J.batch.inputs), distance_on="previous")
    np.testing.assert_allclose(previous.delta, found.delta, atol=1e-9)
    assert previous.passes > found.passes


def test_passes_are_those_over_what_is_looked_at():
    """One over the batch a gradient or product, and one over the distance's inputs where they are others."""
    J, w = small("regression-network")
    by = {"iterations": 5.0, "solver": "gradient"}
    assert step(J, w, **by).passes == 5
    elsewhere = jnp.asarray(J.batch.inputs)[:10]
    # The outputs there before the update are half a forward pass.
    assert np.isclose(step(J, w, elsewhere, distance_on="previous", **by).passes, 5 + (4 + 1 / 3) / 2)
    assert np.isclose(on_data(**by).passes, 5 * SHARE + 4 + 1 / 3)
    by = {"loss": "quadratic", "distance": "quadratic"}
    assert step(J, w, solver="closed", **by).passes == 1 + 321
    assert step(J, w, solver="closed", matrix="hessian", **by).passes == 1 + 2 * 321
    assert step(J, w, solver="cg", iterations=7.0, **by).passes == 1 + 7
    newton = step(J, w, rounds=1.0)
    spent = 1 + newton.columns["cg_iterations"] + 1  # a gradient at the end of the round
    assert newton.columns["newton_steps"] == 1
    assert np.isclose((newton.passes - spent) % (1 / 3), 0, atol=1e-9) | np.isclose((newton.passes - spent) * 3 % 1, 1)
    assert newton.passes >= spent + 1 / 3


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"loss": "exact", "distance": "none"}, {"loss": "linear", "distance": "exact"}])
def test_the_closed_form_refuses_exact_terms(fields):
    optimizer = {"name": "proximal", "solver": "closed", **fields}
    with pytest.raises(SpecError) as refused:
        parse({"problem": {"name": "regression-network"}, "optimizers": [optimizer]})
    assert (refused.value.at, refused.value.allowed) == ("optimizers[0].solver", ["cg", "gradient"])
    assert refused.value.message == "the closed form needs a loss and a distance that are at most quadratic"


@pytest.mark.parametrize("solver", ["closed", "cg"])
@pytest.mark.parametrize(
    ("problem", "start", "fields"),
    [
        ("himmelblau", [-0.2, -1.0], {"loss": "quadratic", "matrix": "hessian"}),  # H is negative definite
        ("rosenbrock", [-1.2, 1.0], {"loss": "linear"}),  # a line has no minimum
    ],
)
def test_a_quadratic_without_a_minimum_is_refused(problem, start, fields, solver):
    lane = so.run(
        problem={"name": problem},
        start=start,
        optimizers=[{"name": "proximal", "distance": "none", "wsd": 0, "solver": solver, **fields}],
    ).lanes[0]
    assert (lane.status, lane.step) == ("stopped", 0)
    assert "no minimum" in lane.reason


def test_it_needs_outputs_to_measure_a_distance_between():
    assert "convex loss" in str(Proximal.fit(make_problem("saddle")))
    assert Proximal.fit(make_problem("rosenbrock")) is None
