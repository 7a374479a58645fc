"""The spectrum of a network of 5264 weights by stochastic Lanczos quadrature, beside a Python loop over its probes.

The loops do the same work: as many products, as many reorthogonalisations, probe after probe in float32. In one a whole
iteration is compiled and called from Python; in the others the product alone is, and the rest is numpy's or
jax.numpy's, operation by operation, as one writes it down first.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orjson

from secondorder.core import Objective
from secondorder.run import answers
from secondorder.spec import parse_probe
from tests.benchmarks.measure import Row, milliseconds, seconds
from tests.oracles import make_problem, objective

PROBES, ITERATIONS, TIMES = 10, 64, 5
PROBLEM = "digits-autoencoder"


def rows() -> Iterator[Row]:
    problem = make_problem(PROBLEM)
    J, w = jax.tree.map(jnp.asarray, (objective(problem), problem.start(0)))
    for matrix in ("hessian", "gauss-newton"):
        first, whole = streamed(w, matrix)
        what = f"{matrix} of {w.shape[0]} weights, Lanczos, {ITERATIONS} iterations x {PROBES} probes"
        note = f"and the gradient's own run: {(PROBES + 1) * ITERATIONS} products, each stage told as JSON"
        yield Row(f"{what}: first probe, warm", "< 150 ms", milliseconds(first))
        yield Row(f"{what}: all", "< 1500 ms", milliseconds(whole), note)
        if matrix == "hessian":
            yield from beside(J, w, float(np.median(whole)) * PROBES / (PROBES + 1))


def streamed(w: jax.Array, matrix: str) -> tuple[list[float], list[float]]:
    """Seconds to the first stage's JSON and to the last one's."""
    asked = {"name": "spectrum", "matrix": matrix, "probes": PROBES, "iterations": ITERATIONS}
    request = parse_probe({"problem": {"name": PROBLEM}, "at": w.tolist(), "probe": asked})

    def tell(stages: int | None = None) -> None:
        for _, answer in zip(range(stages or PROBES + 1), answers(request), strict=False):
            orjson.dumps(answer.event(), option=orjson.OPT_SERIALIZE_NUMPY)

    tell()
    return seconds(lambda: tell(1), TIMES), seconds(tell, TIMES)


def beside(J: Objective, w: jax.Array, ours: float) -> Iterator[Row]:
    loops: dict[str, Callable[[Objective, jax.Array], Any]] = {
        "a compiled iteration, called from Python": by_iterations,
        "a compiled product, and the rest in numpy": by_products,
        "a compiled product, and the rest in jax.numpy": by_operations,
    }
    for what, loop in loops.items():
        loop(J, w)
        taken = seconds(partial(loop, J, w), 3)
        note = f"{milliseconds(taken)} against {1000 * ours:.0f} ms for its share of the answer, JSON included"
        yield Row(f"the same, against {what}", "≥ 2.4x", f"{np.median(taken) / ours:.1f}x", note)


def product(J: Objective, w: jax.Array, v: jax.Array) -> jax.Array:
    return jax.jvp(J.gradient, (w,), (v,))[1]


@jax.jit
def iterate(J: Objective, w: jax.Array, Q: jax.Array, q: jax.Array, k: int):
    Q = Q.at[k].set(q)
    u = product(J, w, q)
    α = q @ u
    u = u - Q.T @ (Q @ u)
    u = u - Q.T @ (Q @ u)
    β = jnp.linalg.norm(u)
    return Q, u / β, α, β


def by_iterations(J: Objective, w: jax.Array) -> list[np.ndarray]:
    found = []
    for v in starts(w):
        Q, q, αβ = jnp.zeros((ITERATIONS, len(v)), v.dtype), jnp.asarray(v), []
        for k in range(ITERATIONS):
            Q, q, α, β = iterate(J, w, Q, q, k)
            αβ.append((α, β))
        found.append(nodes(jax.device_get(αβ)))
    return found


compiled_product = jax.jit(product)


def by_products(J: Objective, w: jax.Array) -> list[np.ndarray]:
    found = []
    for v in starts(w):
        Q, q, αβ = np.zeros((ITERATIONS, len(v)), v.dtype), v, []
        for k in range(ITERATIONS):
            Q[k] = q
            u = np.asarray(compiled_product(J, w, q))
            α = q @ u
            for _ in range(2):
                u = u - Q[: k + 1].T @ (Q[: k + 1] @ u)
            β = np.linalg.norm(u)
            q = u / β
            αβ.append((α, β))
        found.append(nodes(αβ))
    return found


def by_operations(J: Objective, w: jax.Array) -> list[np.ndarray]:
    found = []
    for v in starts(w):
        Q, q, αβ = jnp.zeros((ITERATIONS, len(v)), v.dtype), jnp.asarray(v), []
        for k in range(ITERATIONS):
            Q = Q.at[k].set(q)
            u = compiled_product(J, w, q)
            α = q @ u
            for _ in range(2):
                u = u - Q.T @ (Q @ u)
            β = jnp.linalg.norm(u)
            q = u / β
            αβ.append((α, β))
        found.append(nodes(jax.device_get(αβ)))
    return found


def starts(w: jax.Array) -> np.ndarray:
    v = np.random.default_rng(0).standard_normal((PROBES, w.shape[0])).astype(w.dtype)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def nodes(αβ: list) -> np.ndarray:
    α, β = np.array(αβ).T
    return np.linalg.eigvalsh(np.diag(α) + np.diag(β[:-1], 1) + np.diag(β[:-1], -1))
