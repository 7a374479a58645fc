"""Counts of entries, against the lecture's and against matrices that are really written out."""

import jax
import numpy as np
import pytest

from secondorder.curvature.block_diagonal import block_diagonal
from secondorder.curvature.block_tridiagonal import estimate
from secondorder.spec import SpecError
from tests.oracles import make_problem, small
from tests.probes import asking

REGRESSION = {"name": "regression-network"}


def sizes(problem=REGRESSION, **asked):
    w = make_problem(**problem).start(0)
    return asking.at(problem, w, name="representation-size", **asked)


def test_the_lectures_numbers_exactly():
    """Three layers with 1000 units: 9 trillion, 3 trillion, 6 million."""
    told = sizes(widths=[1000, 1000, 1000, 1000], biases=False)
    assert told["sizes"]["full"] == 9_000_000_000_000
    assert told["sizes"]["block-diagonal"] == 3_000_000_000_000
    assert told["sizes"]["kronecker"] == 6_000_000
    assert told["sizes"]["diagonal"] == told["weights"] == 3_000_000
    assert all(type(count) is int for count in told["sizes"].values())


def test_biases_add_a_column_to_each_layer():
    told = sizes(widths=[1000, 1000, 1000, 1000])
    assert told["weights"] == 3 * 1001 * 1000
    assert told["sizes"]["full"] == 3_003_000**2
    assert told["sizes"]["block-diagonal"] == 3 * 1_001_000**2
    assert told["sizes"]["kronecker"] == 3 * (1001**2 + 1000**2)
    assert told["sizes"]["block-tridiagonal"] == 3 * (1001**2 + 1000**2) + 2 * (1001**2 + 1000**2)


@pytest.mark.parametrize("name", ["regression-network", "digits-classifier"])
def test_they_are_the_sizes_of_what_is_computed(name):
    J, w = small(name)
    widths = (J.problem.network.shapes[0][1] - 1, *(out for out, _ in J.problem.network.shapes))
    told = sizes(widths=list(widths))["sizes"]
    blocks = jax.eval_shape(block_diagonal, J, w).blocks
    statistics = jax.eval_shape(lambda J, w: estimate(J, w, exact=True), J, w)
    assert told["full"] == len(w) ** 2
    assert told["block-diagonal"] == sum(block.size for block in blocks)
    assert told["kronecker"] == sum(part.size for part in (*statistics.A, *statistics.S))
    assert told["block-tridiagonal"] == sum(part.size for part in jax.tree.leaves(statistics))


@pytest.mark.parametrize("problem", [REGRESSION, {"name": "digits-autoencoder"}, {"name": "logistic-regression"}])
def test_blocks_of_the_problem_are_the_catalogs(problem):
    told, own = sizes(problem), make_problem(**problem)
    assert told["blocks"] == own.blocks
    assert told["weights"] == own.dimension
    assert told["biases"] is True


def test_blocks_of_other_widths_tile_their_weights():
    blocks = sizes(widths=[3, 2, 5], biases=False)["blocks"]
    assert [block["weights"] for block in blocks] == [["W1"], ["W2"]]
    assert [block["shape"] for block in blocks] == [[2, 3], [5, 2]]
    assert [(block["first"], block["count"]) for block in blocks] == [(0, 6), (6, 10)]


def test_more_weights_than_json_can_square_are_refused():
    assert sizes(widths=[9742, 9741], biases=False)["sizes"]["full"] == (9742 * 9741) ** 2 < 2**53
    with pytest.raises(SpecError, match="no exact number in JSON"):
        sizes(widths=[9743, 9742], biases=False)


def test_only_networks_have_layers():
    with pytest.raises(SpecError, match="needs a network made of layers"):
        asking.at({"name": "rosenbrock"}, np.zeros(2), name="representation-size")
