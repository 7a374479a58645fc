"""The synthetic curves against a pen drawn pixel by pixel, and the autoencoder's sizes."""

import numpy as np
import pytest
from scipy.integrate import quad_vec

from secondorder.problems.curves_autoencoder import STROKE, curves
from tests.oracles import make_problem, objective, value


def points(seed, count, side):
    """The three points of each image in pixels, (count, 3, 2): what the seed draws."""
    return np.random.default_rng([seed, 0]).uniform(0.15, 0.85, (count, 3, 2)) * side


def parabola(through, s):
    """The parabola that is at the three points for s = 0, ½, 1: Newton's divided differences."""
    (p0, p1, p2), s = through, np.asarray(s)[..., None]
    return p0 + 2 * (p1 - p0) * s + 2 * (p0 - 2 * p1 + p2) * s * (s - 0.5)


def test_a_stroke_is_the_integral_of_a_gaussian_along_the_parabola_through_three_points():
    """Every pixel of some images by adaptive quadrature."""
    side = 12
    images = curves(4, side, 5)
    rows, columns = np.mgrid[:side, :side] + 0.5
    for image, through in zip(images, points(5, 4, side), strict=True):

        def ink(s, through=through):
            x, y = parabola(through, s)
            speed = np.linalg.norm((parabola(through, s + 1e-6) - parabola(through, s - 1e-6)) / 2e-6)
            profile = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * STROKE**2))
            return speed * profile / (np.sqrt(2 * np.pi) * STROKE)

        expected, _ = quad_vec(ink, 0, 1, epsabs=1e-8)
        np.testing.assert_allclose(image.reshape(side, side), np.minimum(expected, 1), atol=1e-5)


def test_ink_lies_where_the_curve_passes():
    images = curves(200, 28, 0).reshape(-1, 28, 28)
    for image, through in zip(images, points(0, 200, 28), strict=True):
        path = parabola(through, np.linspace(0, 1, 400))
        rows, columns = np.mgrid[:28, :28] + 0.5
        distance = np.min(np.hypot(columns[..., None] - path[:, 0], rows[..., None] - path[:, 1]), axis=-1)
        assert np.all(image[distance > 4 * STROKE] < 0.01)
    assert images.min() == 0
    assert images.max() == 1


def test_images_follow_from_the_seed():
    np.testing.assert_array_equal(curves(30, 10, 1), curves.__wrapped__(30, 10, 1))
    assert not np.array_equal(curves(30, 10, 1), curves(30, 10, 2))
    # A larger set begins with the smaller one.
    np.testing.assert_allclose(curves(2500, 10, 1)[:30], curves(30, 10, 1), atol=1e-6)


def test_the_full_size_is_martens_architecture():
    problem = make_problem("curves-autoencoder", size="full")
    assert problem.network.widths == (784, 400, 200, 100, 50, 25, 6, 25, 50, 100, 200, 400, 784)
    assert problem.network.linear == (6,)
    assert (problem.dimension, problem.examples) == (842340, 20_000)


def test_sizes_start_at_a_coin_flip_a_pixel():
    """With weights N(0, 1/fan-in) the logits are small: a loss of about 784 log 2."""
    problem = make_problem("curves-autoencoder")
    assert problem.network.widths == (784, 50, 25, 6, 25, 50, 784)
    assert problem.dimension == len(problem.start(0)) == 82140
    assert abs(value(objective(problem), problem.start(0)) / (784 * np.log(2)) - 1) < 0.05


def test_fewer_images_and_pixels_make_it_as_small_as_one_likes():
    problem = make_problem("curves-autoencoder", side=6, widths=(36, 4, 36), images=50, held_out=0.2, batch=10)
    train, test = problem.data(0)
    assert test is not None
    assert (train.inputs.shape, test.inputs.shape) == ((40, 36), (10, 36))
    np.testing.assert_array_equal(train.inputs, train.targets)
    assert (problem.dimension, problem.output_size, problem.batch_size) == (4 * 37 + 36 * 5, 36, 10)


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"widths": (784, 6, 783)}, "784"), ({"side": 8, "widths": (784, 6, 784)}, "64"), ({"images": 1}, "2")],
)
def test_what_is_no_autoencoder_of_these_images_is_refused(fields, what):
    with pytest.raises(ValueError, match=what):
        make_problem("curves-autoencoder", **fields)
