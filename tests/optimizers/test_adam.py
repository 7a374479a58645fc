"""Adam against the algorithm of Kingma & Ba (2015) written out in numpy, and against optax driven by hand."""

import numpy as np
import optax
import pytest

import secondorder as so

RATES, STEPS = [0.01, 0.3], 50


def gradient(w):
    x, y = w
    return np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])


@pytest.fixture(scope="module")
def lanes():
    return so.run(
        problem={"name": "rosenbrock"},
        optimizers=[{"name": "adam", "rate": RATES, "momentum": [0.9, 0.5], "decay": 0.99}],
        steps=STEPS,
        tolerance=0.0,
    ).lanes


def test_steps_are_those_of_the_paper(lanes):
    for lane in lanes:
        α, β1, β2 = lane.knobs["rate"], lane.knobs["momentum"], lane.knobs["decay"]
        w, m, v = lane.w[0], np.zeros(2), np.zeros(2)
        for k in range(STEPS):
            g = gradient(w)
            m, v = β1 * m + (1 - β1) * g, β2 * v + (1 - β2) * g**2
            w = w - α * (m / (1 - β1 ** (k + 1))) / (np.sqrt(v / (1 - β2 ** (k + 1))) + 1e-8)
            np.testing.assert_allclose(lane.w[k + 1], w, rtol=1e-7, atol=1e-9)


def test_steps_are_those_of_optax(lanes):
    lane = lanes[1]
    transform = optax.adam(lane.knobs["rate"], b1=lane.knobs["momentum"], b2=lane.knobs["decay"])
    w, state = lane.w[0], transform.init(lane.w[0])
    for k in range(10):
        δ, state = transform.update(gradient(w), state, w)
        w = w + np.asarray(δ)
        np.testing.assert_allclose(lane.w[k + 1], w, rtol=1e-9)


def test_the_first_step_has_the_length_of_the_rate_in_every_weight(lanes):
    for lane in lanes:
        np.testing.assert_allclose(np.abs(lane.w[1] - lane.w[0]), lane.knobs["rate"], rtol=1e-8)
