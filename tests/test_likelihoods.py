"""Losses on outputs against scipy's distributions; Gz and the Fisher matrix of the outputs from their definitions."""

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from scipy import special, stats

from secondorder.likelihoods import Logistic, Softmax, SquaredError
from tests.oracles import derivative, second_derivative

Z: Any = np.array([0.7, -1.3, 2.1, 0.1])


class Compiled:
    """A likelihood's functions, compiled."""

    def __init__(self, likelihood: Any):
        self.loss: Any = jax.jit(likelihood.loss)
        self.root: Any = jax.jit(likelihood.root)
        self.scores: Any = jax.jit(likelihood.scores)
        self.multiply: Any = jax.jit(likelihood.multiply)
        self.noise: Any = likelihood.noise
        self.sample: Any = jax.jit(likelihood.sample)


SQUARED_ERROR, LOGISTIC, SOFTMAX = Compiled(SquaredError()), Compiled(Logistic()), Compiled(Softmax())
LIKELIHOODS = [SQUARED_ERROR, LOGISTIC, SOFTMAX]


def gram(R):
    return np.asarray(R).T @ np.asarray(R)


def test_losses_are_negative_log_likelihoods():
    t = np.array([0.5, -0.2, 1.0, 3.0])
    constant = 4 * np.log(2 * np.pi) / 2
    assert np.isclose(SQUARED_ERROR.loss(Z, t), -stats.norm.logpdf(t, Z).sum() - constant, rtol=1e-14)
    bits = np.array([1.0, 0.0, 0.0, 1.0])
    assert np.isclose(LOGISTIC.loss(Z, bits), -stats.bernoulli.logpmf(bits, special.expit(Z)).sum(), rtol=1e-14)
    for k in range(4):
        assert np.isclose(SOFTMAX.loss(Z, k), -special.log_softmax(Z)[k], rtol=1e-14)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_root_squares_to_the_hessian_of_the_loss_by_differences(likelihood):
    targets = 2 if likelihood is SOFTMAX else np.array([1.0, 0.0, 0.0, 1.0])
    basis = [np.eye(4)[i] + np.eye(4)[j] for i in range(4) for j in range(i + 1)]
    root = gram(likelihood.root(Z))
    for u in basis:
        curvature = second_derivative(lambda s, u=u: likelihood.loss(Z + s * u, targets))
        assert np.isclose(u @ root @ u, curvature, rtol=1e-7, atol=1e-9)


def test_the_roots_square_to_their_closed_forms():
    p, q = special.expit(Z), special.softmax(Z)
    np.testing.assert_allclose(gram(SQUARED_ERROR.root(Z)), np.eye(4), rtol=1e-15)
    np.testing.assert_allclose(gram(LOGISTIC.root(Z)), np.diag(p * (1 - p)), rtol=1e-14)
    np.testing.assert_allclose(gram(SOFTMAX.root(Z)), np.diag(q) - np.outer(q, q), rtol=1e-13, atol=1e-16)


def test_scores_of_a_softmax_are_the_gradients_for_every_class_by_its_probability():
    p = special.softmax(Z)
    for k, row in enumerate(np.asarray(SOFTMAX.scores(Z))):
        gradient = [derivative(lambda s, i=i, k=k: SOFTMAX.loss(Z + s * np.eye(4)[i], k)) for i in range(4)]
        np.testing.assert_allclose(row, np.sqrt(p[k]) * np.array(gradient), atol=1e-10)


def test_scores_of_logistic_outputs_have_the_second_moments_of_all_sixteen_targets():
    p = special.expit(Z)
    expected = np.zeros((4, 4))
    for t in itertools.product([0.0, 1.0], repeat=4):
        probability = np.prod(np.where(t, p, 1 - p))
        expected += probability * np.outer(p - t, p - t)
    np.testing.assert_allclose(gram(LOGISTIC.scores(Z)), expected, atol=1e-15)


def test_scores_of_a_gaussian_have_its_second_moments():
    nodes, weights = special.roots_hermitenorm(9)
    weights = weights / weights.sum()
    expected = np.zeros((2, 2))
    for (a, wa), (b, wb) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
        expected += wa * wb * np.outer([a, b], [a, b])  # z - t for t = z - (a, b)
    np.testing.assert_allclose(gram(SQUARED_ERROR.scores(Z[:2])), expected, atol=1e-14)
    # Each of them is the gradient z - t of a target that is as likely as the others, and they average to nothing.
    np.testing.assert_allclose(np.sum(SQUARED_ERROR.scores(Z[:2]), axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_fisher_matrix_of_the_outputs_is_gz(likelihood):
    np.testing.assert_allclose(gram(likelihood.scores(Z)), gram(likelihood.root(Z)), atol=1e-15)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_multiplying_is_by_gz_which_is_not_formed(likelihood):
    Gz = gram(likelihood.root(Z))
    for u in np.concatenate([np.eye(4), np.random.default_rng(0).standard_normal((3, 4))]):
        np.testing.assert_allclose(likelihood.multiply(Z, u), Gz @ u, atol=1e-15)


DRAWS = 100_000


def drawn(likelihood) -> np.ndarray:
    """Dz of many examples with the same outputs, each for a target of its own."""
    z = np.tile(Z, (DRAWS, 1))
    return np.asarray(likelihood.sample(likelihood.noise(jax.random.key(1), z.shape, z.dtype), z))


def as_often(counts, probabilities):
    """Whether counts out of DRAWS are within five standard deviations of what the probabilities make expected."""
    p = np.asarray(probabilities)
    return np.all(np.abs(counts - DRAWS * p) < 5 * np.sqrt(DRAWS * p * (1 - p)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_samples_have_mean_zero_and_covariance_gz(likelihood):
    Dz = drawn(likelihood)
    assert np.all(np.abs(Dz.mean(axis=0)) < 5 * Dz.std(axis=0) / np.sqrt(DRAWS))
    products = Dz[:, :, None] * Dz[:, None]
    error = np.abs(products.mean(axis=0) - gram(likelihood.root(Z)))
    assert np.all(error < 5 * products.std(axis=0) / np.sqrt(DRAWS) + 1e-15)


def test_samples_of_a_gaussian_are_normal():
    for Dz in drawn(SQUARED_ERROR).T:
        assert stats.kstest(Dz, stats.norm.cdf).pvalue > 1e-4


def test_samples_of_logistic_outputs_are_the_gradients_for_bits_drawn_with_their_probabilities():
    p, Dz = special.expit(Z), drawn(LOGISTIC)
    bits = Dz < 0
    np.testing.assert_allclose(Dz, p - bits, atol=1e-15)
    assert as_often(bits.sum(axis=0), p)
    # Sixteen targets, each as often as the product of its bits' probabilities: they are independent.
    patterns, counts = np.unique(bits, axis=0, return_counts=True)
    assert len(patterns) == 16
    assert as_often(counts, np.prod(np.where(patterns, p, 1 - p), axis=1))


def test_samples_of_a_softmax_are_the_gradients_for_classes_drawn_with_their_probabilities():
    p, Dz = special.softmax(Z), drawn(SOFTMAX)
    classes = np.argmin(Dz, axis=1)
    np.testing.assert_allclose(Dz, p - np.eye(4)[classes], atol=1e-15)
    assert as_often(np.bincount(classes, minlength=4), p)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_sample_is_a_gradient_of_the_loss(likelihood):
    """Dz = ∂L/∂z for the target t that belongs to it, by differences."""
    Dz = drawn(likelihood)[0]
    t = {SOFTMAX: int(np.argmin(Dz)), LOGISTIC: (Dz < 0).astype(float)}.get(likelihood, Z - Dz)
    gradient = [derivative(lambda s, i=i: likelihood.loss(Z + s * np.eye(4)[i], t)) for i in range(4)]
    np.testing.assert_allclose(Dz, gradient, atol=1e-9)


@pytest.mark.parametrize("far", [40.0, 300.0, 1400.0])
def test_outputs_far_out_keep_their_digits(far):
    """p(1 - p) = e^-z to all digits for large z, until it underflows; losses neither overflow nor turn into NaN."""
    for z in (np.array([far]), np.array([-far])):
        np.testing.assert_allclose(gram(LOGISTIC.root(z))[0, 0], np.exp(-far), rtol=1e-12)
        np.testing.assert_allclose(gram(LOGISTIC.scores(z))[0, 0], np.exp(-far), rtol=1e-12)
        assert np.isclose(LOGISTIC.loss(z, np.array([0.0])), max(z[0], 0.0), atol=1e-17)
        assert np.isclose(LOGISTIC.loss(z, np.array([1.0])), max(-z[0], 0.0), atol=1e-17)
    z = np.array([far, -far, 0.0])
    assert np.isclose(SOFTMAX.loss(z, 1), 2 * far)
    for part in (SOFTMAX.root(z), SOFTMAX.scores(z), jax.grad(SOFTMAX.loss)(z, 1)):
        assert np.all(np.isfinite(part))
