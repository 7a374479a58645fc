"""The nouns: what is traced and what is static, J as loss plus l2 term, and the factor that G and F are made of."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from secondorder import catalog, core
from secondorder.core import Batch, Objective, Plane, Problem, knob, option, register
from secondorder.likelihoods import SquaredError

RNG: Any = np.random.default_rng(0)
X, T, W = RNG.standard_normal((7, 3)), RNG.standard_normal((7, 2)), RNG.standard_normal(6)


@register
class _Bent(Problem):
    """z = tanh(W x) with two outputs; only the first three of six weights are penalized."""

    name = "bent"
    likelihood = SquaredError()

    l2: float = knob(0.5, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    twice: bool = option(False, "whether the outputs are doubled")

    @property
    def dimension(self) -> int:
        return 6

    def outputs(self, w, inputs):
        return jnp.tanh(inputs @ w.reshape(2, 3).T) * (2 if self.twice else 1)

    def l2_diagonal(self):
        return self.l2 * jnp.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])


Bent: Any = _Bent


def test_a_knob_is_a_traced_leaf_and_an_option_is_structure():
    assert jax.tree.leaves(Bent(l2=0.25)) == [0.25]
    assert jax.tree.structure(Bent(l2=0.25)) == jax.tree.structure(Bent(l2=4.0))
    assert jax.tree.structure(Bent(twice=True)) != jax.tree.structure(Bent())
    traced = []

    @jax.jit
    def penalty(problem):
        traced.append(problem)
        return problem.l2_diagonal()

    assert np.allclose(penalty(Bent(l2=1.0)), [1, 1, 1, 0, 0, 0])
    assert np.allclose(penalty(Bent(l2=3.0)), [3, 3, 3, 0, 0, 0])
    assert len(traced) == 1
    penalty(Bent(l2=3.0, twice=True))
    assert len(traced) == 2


def test_a_registered_object_survives_flattening_and_cannot_change():
    leaves, structure = jax.tree.flatten(Bent(l2=0.25, twice=True))
    again = jax.tree.unflatten(structure, leaves)
    assert isinstance(again, Bent)
    assert (again.l2, again.twice) == (0.25, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.l2 = 1.0  # type: ignore[misc]


def test_the_structures_of_different_classes_differ():
    """jit finds a compiled program by structure: two equal ones, and one problem is answered with another's program."""

    def same_fields(name):
        fields = {"l2": knob(1.0, "l", 0.0, 1.0, "l2"), "__annotations__": {"l2": float}}
        return register(type(name, (Problem,), fields))

    first, second = same_fields("First"), same_fields("Second")
    assert jax.tree.structure(first()) != jax.tree.structure(second())
    for found in (catalog.all_problems(), catalog.all_optimizers(), catalog.all_probes()):
        for one, other in itertools.combinations(found.values(), 2):
            assert jax.tree.structure(one()) != jax.tree.structure(other()), (one, other)


def test_schemas_of_knobs_and_options():
    assert core.knobs(Bent) == {
        "l2": {"type": "number", "default": 0.5, "minimum": 0.0, "maximum": 10.0, "symbol": "ℓ₂", "scale": "log",
               "title": "l2 penalty"},
    }  # fmt: skip
    assert knob(3.0, "K", 1, 9, "iterations", whole=True).metadata["knob"] == {
        "type": "number", "default": 3.0, "minimum": 1, "maximum": 9, "symbol": "K", "scale": "linear",
        "title": "iterations", "multipleOf": 1,
    }  # fmt: skip
    assert core.options(Bent) == {
        "twice": {"type": "boolean", "default": False, "title": "whether the outputs are doubled"},
    }


def test_the_cost_is_the_mean_loss_plus_the_masked_l2_term():
    z = np.tanh(X @ W.reshape(2, 3).T)
    expected = np.mean(np.sum((z - T) ** 2, axis=1) / 2) + 0.5 / 2 * np.sum(W[:3] ** 2)
    J: Any = Objective(Bent(), Batch(X, T))
    assert np.isclose(jax.jit(J)(W), expected, rtol=1e-14)
    # ∇J = Σ_i (z - t)(1 - z²) x / N + l2 w
    gradient = ((z - T) * (1 - z**2)).T @ X / 7 + np.vstack([0.5 * W[:3], np.zeros(3)])
    value, g = jax.jit(J.value_and_gradient)(W)
    assert np.isclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(g, gradient.ravel(), rtol=1e-13)
    np.testing.assert_allclose(jax.jit(J.gradient)(W), gradient.ravel(), rtol=1e-13)


def test_the_weighted_jacobian_is_a_factor_of_the_mean_over_examples():
    A = RNG.standard_normal((5, 2))
    J: Any = Objective(Bent(), Batch(X, T))
    R = jax.jit(lambda w: J.weighted_jacobian(w, lambda z: A * (1 + z[0])))(W)
    assert R.shape == (7 * 5, 6)
    expected = np.zeros((6, 6))
    for x in X:
        z = np.tanh(W.reshape(2, 3) @ x)
        Jzw = np.zeros((2, 6))
        Jzw[0, :3], Jzw[1, 3:] = (1 - z[0] ** 2) * x, (1 - z[1] ** 2) * x
        weight = A * (1 + z[0])
        expected += Jzw.T @ weight.T @ weight @ Jzw / 7
    np.testing.assert_allclose(R.T @ R, expected, rtol=1e-12)


def test_a_plane_projects_what_it_lifts():
    axes = np.linalg.qr(RNG.standard_normal((6, 2)))[0].T
    plane = Plane(RNG.standard_normal(6), axes)
    points = RNG.standard_normal((4, 2))
    np.testing.assert_allclose(plane.project(plane.lift(points)), points, atol=1e-14)
    np.testing.assert_allclose(plane.lift(np.array([2.0, -1.0])), plane.origin + 2 * axes[0] - axes[1], atol=1e-14)
    # What is left after projecting is orthogonal to the plane.
    rest = W - plane.lift(plane.project(W))
    np.testing.assert_allclose(axes @ rest, 0, atol=1e-14)
