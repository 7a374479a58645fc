r"""The proximal objective (lecture, interpretation 4): the three things that an update from w_k trades off.

============  ========================================================================  ==============
symbol        meaning                                                                   shape
============  ========================================================================  ==============
``δ``         the update: the next weights are w_k + δ                                  ``(D,)``
``Q``         loss + λ_FSD · E_x[ρ(f(x, w_k + δ), f(x, w_k))] + λ_WSD/2 ‖δ‖²            scalar
``ρ``         ½‖z - z_k‖² or KL(r(·|z_k) ‖ r(·|z)), by the likelihood: FSD, the         scalar
              function-space distance, is its mean over some inputs
``C``         H, or G of the loss, on the batch, with the l2 term's Hessian             ``(D, D)``
``G``         Gauss-Newton matrix on the distance's inputs: E_x ρ ≈ ½ δᵀGδ              ``(D, D)``
============  ========================================================================  ==============

The loss is exact, J(w_k + δ); quadratic, J + gᵀδ + ½ δᵀCδ; or linear, J + gᵀδ. The distance is exact, quadratic or
none. Where nothing is exact, Q is a quadratic with gradient g and matrix A = C + λ_FSD·G + λ_WSD·I, either matrix only
where its term is quadratic.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from secondorder.core import Batch, Likelihood, Objective
from secondorder.curvature.gauss_newton import gauss_newton_products
from secondorder.curvature.hessian import hessian_products

Array = jax.Array
LOSSES = ("linear", "quadratic", "exact")
DISTANCES = ("none", "quadratic", "exact")
MATRICES = ("gauss-newton", "hessian")


def divergence(likelihood: Likelihood, z: Array, z_k: Array) -> Array:
    """ρ(z, z_k) of one example's outputs (K,): L(z, t) - L(z_k, t) - ∇L(z_k, t)ᵀ(z - z_k), the same for every target t.

    L is linear in t, up to what does not depend on z, and z are the natural parameters of r(t|z): so this, the Bregman
    divergence of L, is ½‖z - z_k‖² for the squared error, and KL(r(·|z_k) ‖ r(·|z)) for logistic and softmax outputs
    (Banerjee et al. 2005, section 4). Its Hessian in z is Gz, as the loss's is.
    """
    t = jnp.asarray(0)
    L_k, slope = jax.value_and_grad(likelihood.loss)(z_k, t)
    return likelihood.loss(z, t) - L_k - slope @ (z - z_k)


class Examples(NamedTuple):
    """Inputs that terms of one kind look at, in one pass together."""

    inputs: Any  # (B, …)
    targets: Any  # (B, …), None where the loss is not taken
    fsd: Any  # λ_FSD, None where the distance is not taken

    @property
    def weight(self) -> Array | float:
        """Of Gz: the loss's Hessian in z and the distance's are both Gz."""
        return float(self.targets is not None) + (0.0 if self.fsd is None else self.fsd)


class Costs(NamedTuple):
    """In passes over the batch."""

    start: float  # what was computed once
    value: float
    gradient: float  # or a product with A


class ProximalObjective(NamedTuple):
    """Q about w_k, as functions of δ (D,)."""

    value: Callable[[Array], Array]
    gradient: Callable[[Array], Array]
    curvature: Callable[[Array], Callable[[Array], Array]]  # δ ↦ (v ↦ Av)
    first: Array  # ∇Q(0) = g (D,)
    is_quadratic: bool  # whether A is the same for all δ
    costs: Costs


def proximal_objective(
    J: Objective,
    w: Array,
    *,
    loss: str,
    distance: str,
    matrix: str,
    fsd: Array | float,
    wsd: Array | float,
    inputs: Any = None,
) -> ProximalObjective:
    """Q about w (D,) with the loss on J's batch, and the distance on ``inputs`` (None: the batch's own).

    A is Q's Hessian with ``matrix`` "hessian" (but a quadratic distance's is G), else its Gauss-Newton matrix. A term
    on the batch's own inputs costs nothing beside another of its kind: they share the forward and the backward pass.
    """
    problem, likelihood, l2 = J.problem, J.problem.likelihood, J.problem.l2_diagonal()
    assert likelihood is not None, f"{problem.name} has no outputs with a convex loss"
    J_w, g = J.value_and_gradient(w)

    def examples(kind: str) -> list[Examples]:
        """What the terms of one kind look at."""
        λ = fsd if distance == kind else None
        on_batch = Examples(J.batch.inputs, J.batch.targets if loss == kind else None, λ if inputs is None else None)
        elsewhere = Examples(inputs, None, None if inputs is None else λ)
        return [one for one in (on_batch, elsewhere) if one.targets is not None or one.fsd is not None]

    def gauss_newton(looked_at: list[Examples], w: Array, has_loss: bool) -> Callable[[Array], Array]:
        products = [
            (one.weight, gauss_newton_products(Objective(problem, Batch(one.inputs, one.targets)), w).product)
            for one in looked_at
        ]
        return lambda v: sum((weight * product(v) for weight, product in products), l2 * v if has_loss else 0 * v)

    exact, quadratic = examples("exact"), examples("quadratic")
    seen = [(one, problem.outputs(w, one.inputs)) for one in exact]

    def exact_terms(w: Array) -> Array:
        total = jnp.sum(w * (l2 * w)) / 2 if loss == "exact" else jnp.zeros_like(J_w)
        for one, z_k in seen:
            z = problem.outputs(w, one.inputs)
            if one.targets is not None:
                total += jnp.mean(jax.vmap(likelihood.loss)(z, one.targets))
            if one.fsd is not None:
                total += one.fsd * jnp.mean(jax.vmap(lambda z, z_k: divergence(likelihood, z, z_k))(z, z_k))
        return total

    if matrix == "hessian" and loss == "quadratic":
        H = hessian_products(J, w).multiply
        apart = [one._replace(targets=None) for one in quadratic if one.fsd is not None]
        of_distance = gauss_newton(apart, w, False)
        quadratic = [Examples(J.batch.inputs, J.batch.targets, None), *apart]
        curved = [H, of_distance]
    else:
        curved = [gauss_newton(quadratic, w, loss == "quadratic")]

    def quadratic_terms(v: Array) -> Array:
        return sum((product(v) for product in curved), 0 * v)

    linear_value, linear = (0 * J_w, 0 * g) if loss == "exact" else (J_w, g)

    def value(δ: Array) -> Array:
        return exact_terms(w + δ) + linear_value + linear @ δ + δ @ (quadratic_terms(δ) + wsd * δ) / 2

    def gradient(δ: Array) -> Array:
        return jax.grad(exact_terms)(w + δ) + linear + quadratic_terms(δ) + wsd * δ

    def curvature(δ: Array) -> Callable[[Array], Array]:
        if matrix == "hessian":
            of_exact = jax.linearize(jax.grad(exact_terms), w + δ)[1]
        else:
            of_exact = gauss_newton(exact, w + δ, loss == "exact")
        return lambda v: of_exact(v) + quadratic_terms(v) + wsd * v

    def passes(looked_at: list[Examples]) -> float:
        return sum(len(one.inputs) for one in looked_at) / len(J.batch.inputs)

    # The batch's outputs at w came with g.
    elsewhere = [one for one in exact if one.targets is None and inputs is not None]
    each = passes(exact) + passes(quadratic)
    costs = Costs(1.0 + passes(elsewhere) / 3, passes(exact) / 3 + passes(quadratic), each)
    return ProximalObjective(value, gradient, curvature, g, not exact, costs)
