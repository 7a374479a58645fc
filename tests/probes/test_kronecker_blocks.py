"""Each representation, its inverse, errors and step, against the same written out in numpy from a pass by hand."""

import numpy as np
import pytest

import secondorder as so
from secondorder.spec import SpecError
from tests.curvature.networks import block_diag, chain_inverse, factors_by_hand
from tests.oracles import gauss_newton_of, gradient_of, make_problem, objective
from tests.probes import asking

L2, DAMPING, CELLS = 0.03, 0.2, 60
PROBLEM = {"name": "regression-network", "size": 30, "l2": L2}


def by_hand(J, w, η):
    """(matrix, inverse) of every representation, damped; and G's approximations undamped."""
    parts, found, l2 = J.problem.network.slices, factors_by_hand(J, w), J.problem.l2
    G, eye = np.asarray(gauss_newton_of(J, w)), np.eye(len(w))
    products = [np.kron(s, a) for a, s in zip(found["A"], found["S"], strict=True)]
    corrected = []
    for part, a, s in zip(parts, found["A"], found["S"], strict=True):
        Q = np.kron(np.linalg.eigh(s)[1], np.linalg.eigh(a)[1])
        corrected.append(Q @ np.diag(np.diagonal(Q.T @ G[part, part] @ Q)) @ Q.T)
    plain = {
        "exact": G,
        "block-diagonal": block_diag([G[part, part] for part in parts]),
        "kronecker": block_diag(products),
        "eigenvalue-corrected": block_diag(corrected),
    }
    λ = η + l2
    damped = {name: (C + λ * eye, np.linalg.inv(C + λ * eye)) for name, C in plain.items()}
    A, S = [], []
    for a, s in zip(found["A"], found["S"], strict=True):
        π = np.sqrt((np.trace(a) / len(a)) / (np.trace(s) / len(s)))
        A.append(a + π * np.sqrt(λ) * np.eye(len(a)))
        S.append(s + np.sqrt(λ) / π * np.eye(len(s)))
    C = block_diag([np.kron(s, a) for a, s in zip(A, S, strict=True)])
    damped["kronecker-pi"], plain["kronecker-pi"] = (C, np.linalg.inv(C)), plain["kronecker"]
    inverse = chain_inverse(A, S, found["A_next"], found["S_next"])
    damped["block-tridiagonal"] = np.linalg.inv(inverse), inverse
    return damped, plain, found


@pytest.fixture(scope="module")
def asked():
    problem = make_problem(**PROBLEM)
    J, w = objective(problem), problem.start(2)
    told = asking.at(PROBLEM, w, name="kronecker-blocks", damping=DAMPING, cells=CELLS)
    return told, by_hand(J, w, DAMPING), np.asarray(gradient_of(J, w))


NAMES = ["exact", "block-diagonal", "kronecker", "kronecker-pi", "eigenvalue-corrected", "block-tridiagonal"]


def distance(C, exact):
    return np.linalg.norm(C - exact) / np.linalg.norm(exact)


def test_it_tells_its_weights_and_how_they_are_averaged(asked):
    told = asked[0]
    assert [part["name"] for part in told["representations"]] == NAMES
    assert (told["layer"], told["damping"]) == (0, DAMPING)
    assert list(told["choices"]) == [0, 1, 2, 3]
    cells, sizes = told["cells"], [32, 272, 17]
    assert len(cells["first"]) <= CELLS
    assert sum(cells["count"]) == 321
    assert max(cells["count"]) == told["reduction"] == 6
    for layer, size in enumerate(sizes, start=1):
        assert np.sum(cells["count"][cells["layer"] == layer]) == size  # a cell is of one layer
    np.testing.assert_array_equal(cells["first"], np.cumsum([0, *cells["count"][:-1]]))


@pytest.mark.parametrize("name", NAMES)
def test_errors_and_steps_are_those_of_matrices_written_out(asked, name):
    told, (damped, plain, _), g = asked
    (part,) = (part for part in told["representations"] if part["name"] == name)
    exact, inverse_of_exact = damped["exact"]
    C, inverse = damped[name]
    assert part["refused"] is None
    np.testing.assert_allclose(part["error"], distance(C, exact), atol=1e-11)
    np.testing.assert_allclose(part["inverse_error"], distance(inverse, inverse_of_exact), atol=1e-11)
    if name == "block-tridiagonal":
        assert np.isnan(part["undamped_error"])  # undamped it need not exist
    else:
        np.testing.assert_allclose(part["undamped_error"], distance(plain[name], plain["exact"]), atol=1e-11)
    δ, best = -inverse @ g, -inverse_of_exact @ g
    model = [g @ (t * δ) + (t * δ) @ exact @ (t * δ) / 2 for t in np.linspace(0, 3, 30_001)]
    expected = {
        "norm": np.linalg.norm(δ),
        "cosine": δ @ best / np.linalg.norm(δ) / np.linalg.norm(best),
        "model": g @ δ + δ @ exact @ δ / 2,
    }
    for key, value in expected.items():
        np.testing.assert_allclose(part["step"][key], value, rtol=1e-9)
    assert part["step"]["rescaled"] <= np.min(model) + 4 * np.finfo(float).eps * np.abs(model).max()
    np.testing.assert_allclose(part["step"]["rescaled"], np.min(model), rtol=1e-7)
    np.testing.assert_allclose(part["step"]["scale"], np.argmin(model) * 1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_heatmaps_are_means_over_cells(asked, name):
    told, (damped, _, _), _ = asked
    (part,) = (part for part in told["representations"] if part["name"] == name)
    first, count = told["cells"]["first"], told["cells"]["count"]
    for key, C in zip(("matrix", "inverse"), damped[name], strict=True):
        sums = np.add.reduceat(np.add.reduceat(C, first, axis=0), first, axis=1)
        means = sums / np.outer(count, count)
        np.testing.assert_allclose(part[key], means, rtol=5e-3, atol=1e-9 * np.abs(means).max())


def test_what_is_zero_is_told_as_zero(asked):
    told = asked[0]
    layer = np.asarray(told["cells"]["layer"])
    apart = np.abs(np.subtract.outer(layer, layer))
    parts = {part["name"]: part for part in told["representations"]}
    for name in ("block-diagonal", "kronecker", "kronecker-pi", "eigenvalue-corrected"):
        for key in ("matrix", "inverse"):
            assert np.all(parts[name][key][apart > 0] == 0)
    assert np.all(parts["block-tridiagonal"]["inverse"][apart > 1] == 0)
    assert np.any(parts["block-tridiagonal"]["matrix"][apart > 1] != 0)
    assert np.any(parts["exact"]["inverse"][apart > 1] != 0)


def test_the_exact_step_has_the_lowest_model(asked):
    parts = {part["name"]: part["step"] for part in asked[0]["representations"]}
    assert parts["exact"]["scale"] == pytest.approx(1, rel=1e-10)
    assert all(parts["exact"]["model"] <= step["rescaled"] + 1e-15 for step in parts.values())
    assert all(step["rescaled"] <= step["model"] + 1e-15 for step in parts.values())


def test_factors_and_eigenvalues_of_each_layer(asked):
    told, (_, plain, found), _ = asked
    slices = make_problem(**PROBLEM).network.slices
    assert [layer["layer"] for layer in told["layers"]] == [1, 2, 3]
    for layer, part, A, S in zip(told["layers"], slices, found["A"], found["S"], strict=True):
        assert (layer["first"], list(layer["shape"])) == (part.start, [len(S), len(A)])
        np.testing.assert_allclose(layer["A"], A, rtol=5e-3, atol=1e-12)
        np.testing.assert_allclose(layer["S"], S, rtol=5e-3, atol=1e-12)
        G, product = plain["exact"][part, part], np.kron(S, A)
        size = float(np.linalg.norm(G, 2))
        np.testing.assert_allclose(layer["exact"], np.linalg.eigvalsh(G)[::-1], atol=1e-12 * size)
        np.testing.assert_allclose(layer["products"], np.linalg.eigvalsh(product)[::-1], atol=1e-12 * size)
        corrected = np.linalg.eigvalsh(plain["eigenvalue-corrected"][part, part])[::-1]
        np.testing.assert_allclose(layer["corrected"], corrected, atol=1e-12 * size)
        np.testing.assert_allclose(layer["error"], distance(product, G), atol=1e-12)
    # With one output of squared error the last layer's pseudo-gradient does not depend on the input: A ⊗ S is exact.
    assert told["layers"][-1]["error"] < 1e-14


def test_in_a_run_the_damping_is_the_lanes_own_and_the_step_is_the_one_it_took():
    run = so.run(problem=PROBLEM, optimizers=[{"name": "gauss-newton", "damping": 0.3}, {"name": "gradient-descent"}],
                 steps=3)  # fmt: skip
    told = asking.of(run, 0, 2, name="kronecker-blocks", cells=CELLS)
    assert told["damping"] == 0.3
    assert told["representations"][0]["step"]["norm"] == pytest.approx(run.lanes[0].step_norm[3], rel=1e-9)
    assert asking.of(run, 1, 2, name="kronecker-blocks", cells=CELLS)["damping"] == 0.01


def test_without_damping_what_does_not_exist_is_named_and_the_rest_is_told(asked):
    problem = PROBLEM | {"l2": 0.0}
    told = asking.at(problem, make_problem(**PROBLEM).start(2), name="kronecker-blocks", damping=0.0, cells=CELLS)
    parts = {part["name"]: part for part in told["representations"]}
    assert parts["exact"]["refused"] == "the damped matrix is singular to working precision"
    assert parts["block-tridiagonal"]["refused"] == "a damped Kronecker factor is singular"
    for name, part in parts.items():
        assert part["inverse"] is None
        assert np.isnan(part["step"]["norm"])
        assert np.isnan(part["inverse_error"])
        if name != "block-tridiagonal":  # without an inverse there is no such matrix
            np.testing.assert_allclose(part["error"], part["undamped_error"], rtol=1e-12)
            assert part["matrix"] is not None
    assert parts["block-tridiagonal"]["matrix"] is None


def test_of_a_larger_network_one_layer_is_shown():
    problem = {"name": "digits-classifier", "dtype": "float64"}
    own = make_problem(**problem)
    w = own.start(0)
    told = asking.at(problem, w, name="kronecker-blocks", damping=0.1, cells=33)
    assert list(told["choices"]) == [2]
    assert told["layer"] == 2  # 330 weights; the first has 2080
    assert [part["name"] for part in told["representations"]] == ["exact", "kronecker", "kronecker-pi", NAMES[4]]
    assert np.all(told["cells"]["layer"] == 2)
    assert told["cells"]["first"][0] == 2080
    J, part = objective(own), own.network.slices[1]
    found = factors_by_hand(J, w)
    g, product = np.asarray(gradient_of(J, w))[part], np.kron(found["S"][1], found["A"][1])
    δ = -np.linalg.solve(product + 0.1 * np.eye(330), g)
    assert told["representations"][1]["step"]["norm"] == pytest.approx(np.linalg.norm(δ), rel=1e-9)
    np.testing.assert_allclose(told["layers"][0]["products"], np.linalg.eigvalsh(product)[::-1], atol=1e-14)


@pytest.mark.parametrize(
    ("problem", "layer", "says"),
    [
        (PROBLEM, 4, "has 3 layers, not 4"),
        ({"name": "digits-classifier"}, 1, "layer 1 has 2080 weights; at most 700 are written out"),
        (
            {"name": "digits-classifier", "widths": [64, 512, 10]},
            0,
            "at most 700 weights, and each layer here has more",
        ),
        ({"name": "rosenbrock"}, 0, "needs a network made of layers"),
    ],
)
def test_what_cannot_be_written_out_is_said(problem, layer, says):
    options: dict = {key: tuple(value) if isinstance(value, list) else value for key, value in problem.items()}
    w = make_problem(**dict(options)).start(0)
    with pytest.raises(SpecError, match=says):
        asking.at(problem, w, name="kronecker-blocks", layer=layer)
