"""L-BFGS reaches the minima that are known or that scipy finds, descending at every step."""

import numpy as np

import secondorder as so
from secondorder.optimizers.lbfgs import LBFGS
from tests.oracles import make_problem


def test_it_ends_at_the_minimum():
    lane = so.run(problem={"name": "rosenbrock"}, optimizers=[{"name": "lbfgs"}], steps=100).lanes[0]
    assert lane.status == "converged"
    assert np.all(np.diff(lane.loss) <= 1e-15)
    assert np.all(lane.slope[1:] < 0)
    assert lane.passes[-1] >= lane.step
    np.testing.assert_allclose(lane.w[-1], [1, 1], atol=1e-7)


def test_mini_batches_are_refused_with_what_to_do():
    assert "set batch to 0" in str(LBFGS.fit(make_problem("digits-classifier", batch=128)))
    assert LBFGS.fit(make_problem("digits-classifier", batch=0)) is None
