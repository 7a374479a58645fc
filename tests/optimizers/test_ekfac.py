"""EKFAC's step against its definition with everything written out."""

import numpy as np

import secondorder as so
from secondorder.core import Objective
from tests.oracles import gauss_newton_of, make_problem

PROBLEM = {"name": "regression-network", "size": 20, "l2": 1e-3}
PLAIN = {"adapt": "fixed", "statistics": "exact", "momentum": False, "rescale": False, "rate": 0.1}


def diagonal_in_eigenbases(J: Objective, w: np.ndarray) -> np.ndarray:
    """Of each layer's exact block, what is diagonal in K-FAC's eigenbasis; factors from a pass in numpy."""
    G, network = np.asarray(gauss_newton_of(J, w)), J.problem.network
    assert network is not None
    C, a, inputs = np.zeros_like(G), np.asarray(J.batch.inputs), []
    layers = network.split(w)
    for number, W in enumerate(layers, start=1):
        inputs.append(np.column_stack([a, np.ones(len(a))]))
        a = inputs[-1] @ W.T
        a = np.tanh(a) if number < len(layers) else a
    Ds = [np.ones((len(a), 1))]  # one output with squared error: Dz = 1 in exact expectation
    for W, after in zip(layers[:0:-1], inputs[:0:-1], strict=True):
        Ds.insert(0, (Ds[0] @ W[:, :-1]) * (1 - after[:, :-1] ** 2))
    for part, ā, D in zip(network.slices, inputs, Ds, strict=True):
        Q = np.kron(np.linalg.eigh(D.T @ D)[1], np.linalg.eigh(ā.T @ ā)[1])
        C[part, part] = Q @ np.diag(np.diag(Q.T @ G[part, part] @ Q)) @ Q.T
    return C


def test_a_step_solves_with_gs_diagonal_in_kfacs_eigenbasis():
    """At the first step; the eigenbasis is not unique where factors are of low rank, so the problem's are not."""
    problem = make_problem("regression-network", size=60, l2=1e-3)
    J = Objective(problem, problem.data(0).train)
    run = so.run(problem=PROBLEM | {"size": 60}, optimizers=[{"name": "ekfac", "damping": 0.3} | PLAIN], steps=1)
    w = run.lanes[0].w[0]
    C = diagonal_in_eigenbases(J, w) + (0.3 + 1e-3) * np.eye(len(w))
    Δ = -np.linalg.solve(C, np.asarray(J.gradient(w)))
    np.testing.assert_allclose(run.lanes[0].w[1] - w, 0.1 * Δ, rtol=1e-6, atol=1e-9)


def test_it_has_no_factored_damping_to_adapt():
    run = so.run(problem=PROBLEM, optimizers=[{"name": "ekfac"}], steps=2)
    assert "gamma" not in run.lanes[0].columns


def test_no_damping_where_a_pixel_is_always_blank_is_refused_by_name():
    problem = {"name": "digits-autoencoder", "l2": 0.0, "widths": [64, 4, 64]}
    run = so.run(problem=problem, optimizers=[{"name": "ekfac", "damping": 0.0, "adapt": "fixed"}], steps=2)
    assert run.lanes[0].reason == "a damped Kronecker factor is singular at step 0"


def test_damping_does_not_adapt_below_what_float32_can_tell():
    """Where less of it would make a step unusable it ends, and not the run; a start below that is raised."""
    problem = {"name": "digits-autoencoder", "widths": [64, 4, 64], "l2": 0.0}
    optimizer = {"name": "ekfac", "damping": 1e-3, "adapt_every": 1}
    (lane,) = so.run(problem=problem, optimizers=[optimizer], steps=30).lanes
    assert lane.status == "budget"
    assert lane.damping[2:].min() > lane.damping[1]
