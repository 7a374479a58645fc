"""The digits autoencoder: its sizes, its starts, and the entropy that no loss can be under."""

import numpy as np
import pytest
from scipy.special import entr, expit, xlogy
from sklearn.datasets import load_digits

from tests.oracles import make_problem, objective, value

PIXELS = load_digits().data / 16  # type: ignore[attr-defined]  # scikit-learn's Bunch


@pytest.mark.parametrize(
    ("size", "weights", "low", "high"), [("small", 5264, 44, 48), ("deep", 37896, 43, 46)], ids=["small", "deep"]
)
def test_sizes_and_where_they_start(size, weights, low, high):
    problem = make_problem("digits-autoencoder", size=size)
    assert problem.dimension == weights
    J = objective(problem)
    starts = [float(value(J, problem.start(seed))) for seed in range(4)]
    assert low < min(starts) < max(starts) < high


def test_no_loss_can_be_under_the_datas_entropy():
    """The mean over images of each pixel's own entropy, which only p = x attains: 13.658."""
    entropy = np.mean(np.sum(entr(PIXELS) + entr(1 - PIXELS), axis=1))
    assert abs(entropy - 13.658) < 5e-4
    problem = make_problem("digits-autoencoder", dtype="float64", l2=0.0)
    logits = np.log(np.maximum(PIXELS, 1e-300)) - np.log(np.maximum(1 - PIXELS, 1e-300))
    attained = np.mean([problem.likelihood.loss(z, t) for z, t in zip(logits[:50], PIXELS[:50], strict=True)])
    assert np.isclose(attained, np.mean(np.sum(entr(PIXELS[:50]) + entr(1 - PIXELS[:50]), axis=1)), rtol=1e-12)


def test_the_cost_is_the_bernoulli_cross_entropy_summed_over_pixels():
    """With tanh everywhere but in the code layer, and the penalty on all weights."""
    problem = make_problem("digits-autoencoder", dtype="float64", l2=0.01)
    w = problem.start(5)
    W1, b1, W2, b2, W3, b3, W4, b4 = problem.parameters(w).values()
    code = np.tanh(PIXELS @ W1.T + b1) @ W2.T + b2
    p = expit(np.tanh(code @ W3.T + b3) @ W4.T + b4)
    assert code.shape == (1797, 16)
    cross_entropy = -np.mean(np.sum(xlogy(PIXELS, p) + xlogy(1 - PIXELS, 1 - p), axis=1))
    assert np.isclose(value(objective(problem), w), cross_entropy + 0.01 / 2 * w @ w, rtol=1e-13)


def test_the_targets_are_the_inputs_in_training_and_held_out():
    train, test = make_problem("digits-autoencoder", held_out=0.2).data(1)
    assert test is not None
    assert (len(train.inputs), len(test.inputs)) == (1438, 359)
    for batch in (train, test):
        np.testing.assert_array_equal(batch.inputs, batch.targets)


def test_sparse_initial_weights_are_an_option():
    problem = make_problem("digits-autoencoder", initial="sparse")
    W1 = problem.parameters(problem.start(0))["W1"]
    np.testing.assert_array_equal(np.count_nonzero(W1, axis=1), 15)
    assert (problem.start(0) != make_problem("digits-autoencoder").start(0)).any()


@pytest.mark.parametrize("widths", [(63, 8, 64), (64, 8, 63)])
def test_other_inputs_or_outputs_are_refused(widths):
    with pytest.raises(ValueError, match="64"):
        make_problem("digits-autoencoder", widths=widths)


def test_the_narrowest_layer_of_other_widths_is_the_linear_code():
    assert make_problem("digits-autoencoder", widths=(64, 20, 5, 30, 64)).network.linear == (2,)
