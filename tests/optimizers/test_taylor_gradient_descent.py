"""Gradient descent on the Taylor approximation: its closed form, and that it saves nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder.optimizers.taylor_gradient_descent import TaylorGradientDescent
from tests.oracles import gauss_newton_of, gradient_of, hessian_of, make_optimizer, make_problem, path, small

take = jax.jit(lambda optimizer, J, w: optimizer.step(J, w, ()))


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
@pytest.mark.parametrize("name", ["rosenbrock", "logistic-regression", "digits-classifier"])
def test_a_step_is_the_closed_form(name, matrix):
    """δ = -Q diag((1 - (1 - αν)^K) / ν) Qᵀg; along an eigenvector with ν = 0 that is -αK."""
    J, w = small(name)
    C = np.asarray(hessian_of(J, w) if matrix == "hessian" else gauss_newton_of(J, w))
    if matrix == "gauss-newton":
        C = C + np.diag(np.asarray(J.problem.l2_diagonal()) * np.ones(len(w)))
    ν, Q = np.linalg.eigh(C)
    g, α = np.asarray(gradient_of(J, w)), 0.7 / np.abs(ν).max()
    for K in (1, 2, 7, 30):
        left = sum((1 - α * ν) ** k for k in range(K))  # (1 - (1 - αν)^K) / (αν), also where ν = 0
        step = take(make_optimizer("taylor-gradient-descent", rate=α, iterations=float(K), matrix=matrix), J, w)
        np.testing.assert_allclose(step.delta, -Q @ (α * left * (Q.T @ g)), atol=1e-12 * float(np.linalg.norm(g)))
        assert step.passes == K


@pytest.mark.parametrize("K", [1, 3, 10])
def test_on_a_quadratic_it_is_k_steps_of_gradient_descent_for_the_same_price(K):
    J, w = small("quadratic")
    few = path(make_optimizer("taylor-gradient-descent", rate=0.8, iterations=float(K)), J, w, 4)
    many = path(make_optimizer("gradient-descent", rate=0.8), J, w, 4 * K)
    np.testing.assert_allclose(few, many[::K], rtol=1e-12, atol=1e-15)
    body: dict[str, Any] = {"problem": {"name": "quadratic"}, "tolerance": 0}
    name = "taylor-gradient-descent"
    taylor = so.run(**body, optimizers=[{"name": name, "iterations": K}], steps=4).lanes[0]
    descent = so.run(**body, optimizers=[{"name": "gradient-descent"}], steps=4 * K).lanes[0]
    np.testing.assert_allclose(taylor.loss, descent.loss[::K], rtol=1e-12)
    np.testing.assert_allclose(taylor.passes, descent.passes[::K])


def test_with_many_steps_it_is_newtons_step():
    J, w = small("logistic-regression")
    step = take(make_optimizer("taylor-gradient-descent", rate=0.1, iterations=20_000.0, matrix="hessian"), J, w)
    newton = take(make_optimizer("newton"), J, jnp.asarray(w)).delta
    np.testing.assert_allclose(step.delta, newton, rtol=1e-6, atol=1e-9)


def test_it_needs_outputs_with_a_convex_loss():
    assert "convex loss" in str(TaylorGradientDescent.fit(make_problem("saddle")))
    assert TaylorGradientDescent.fit(make_problem("himmelblau")) is None
