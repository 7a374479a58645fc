"""The regression network: its curve, its sizes and its cost."""

import numpy as np

from tests.oracles import make_problem, objective, value


def test_it_has_321_weights_that_follow_from_the_seed():
    problem = make_problem("regression-network")
    assert problem.dimension == 321
    assert problem.start(0).shape == (321,)
    assert problem.start(0).dtype == np.float64
    np.testing.assert_array_equal(problem.start(0), problem.start(0))
    assert not np.array_equal(problem.start(0), problem.start(1))
    shapes = {name: part.shape for name, part in problem.parameters(problem.start(0)).items()}
    assert shapes == {"W1": (16, 1), "b1": (16,), "W2": (16, 16), "b2": (16,), "W3": (1, 16), "b3": (1,)}


def test_the_data_are_a_smooth_curve_with_a_tenth_of_noise():
    x, t = make_problem("regression-network", size=4000).data(0).train
    noise = (t - np.sin(3 * x) - x / 2).ravel()
    assert np.all(np.abs(x) <= 2)
    assert abs(noise.mean()) < 4 * 0.1 / np.sqrt(4000)
    assert abs(noise.std() - 0.1) < 4 * 0.1 / np.sqrt(8000)
    assert abs(x.std() - 4 / np.sqrt(12)) < 0.05
    again, other = (make_problem("regression-network", size=50).data(seed).train for seed in (0, 1))
    np.testing.assert_array_equal(again.inputs, make_problem("regression-network", size=50).data(0).train.inputs)
    assert not np.array_equal(again.inputs, other.inputs)


def test_the_cost_is_half_the_mean_squared_error_of_the_network():
    problem = make_problem("regression-network", l2=0.0)
    x, t = problem.data(3).train
    w = problem.start(3)
    W1, b1, W2, b2, W3, b3 = problem.parameters(w).values()
    z = np.tanh(np.tanh(x @ W1.T + b1) @ W2.T + b2) @ W3.T + b3
    assert np.isclose(value(objective(problem, 3), w), np.mean((z - t) ** 2) / 2, rtol=1e-13)


def test_a_held_out_share_leaves_the_training_data():
    problem = make_problem("regression-network", held_out=0.25)
    train, test = problem.data(0)
    assert test is not None
    assert (len(train.inputs), len(test.inputs), problem.examples) == (75, 25, 75)
