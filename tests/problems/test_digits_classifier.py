"""The digits classifier against scipy's cross-entropy, and its batches."""

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.oracles import make_problem, objective, value


def test_the_cost_is_the_mean_cross_entropy_of_the_network():
    problem = make_problem("digits-classifier", dtype="float64", l2=0.01)
    x, t = problem.data(0).train
    w = problem.start(5)
    W1, b1, W2, b2 = problem.parameters(w).values()
    z = np.tanh(x @ W1.T + b1) @ W2.T + b2
    cross_entropy = -np.mean(log_softmax(z, axis=1)[np.arange(len(t)), t])
    assert np.isclose(value(objective(problem), w), cross_entropy + 0.01 / 2 * w @ w, rtol=1e-13)


def test_sizes_and_precision():
    problem = make_problem("digits-classifier")
    assert problem.dimension == 32 * 65 + 10 * 33 == len(problem.start(0))
    assert problem.start(0).dtype == problem.data(0).train.inputs.dtype == np.float32
    assert make_problem("digits-classifier", widths=(64, 20, 15, 10)).dimension == 20 * 65 + 15 * 21 + 10 * 16


@pytest.mark.parametrize(
    ("batch", "held_out", "examples", "size"),
    [(128, 0.0, 1797, 128), (0, 0.0, 1797, 0), (1797, 0.0, 1797, 0), (1000, 0.5, 899, 0), (100, 0.5, 899, 100)],
)
def test_a_batch_as_large_as_the_training_data_is_all_of_them(batch, held_out, examples, size):
    problem = make_problem("digits-classifier", batch=batch, held_out=held_out)
    assert (problem.examples, problem.batch_size) == (examples, size)
    assert len(problem.data(0).train.inputs) == examples


@pytest.mark.parametrize("widths", [(63, 10), (64, 9), (64, 32)])
def test_other_inputs_or_outputs_are_refused(widths):
    with pytest.raises(ValueError, match="64"):
        make_problem("digits-classifier", widths=widths)
