"""Fully connected networks against loops, and the flat vector's order."""

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.network import Network, homogeneous

jax.config.update("jax_enable_x64", True)  # as core does: a network alone does not import it

NETWORK = Network((3, 5, 4, 2))
W = np.random.default_rng(0).standard_normal(NETWORK.dimension)


def test_the_number_of_weights():
    assert NETWORK.dimension == 5 * 4 + 4 * 6 + 2 * 5
    assert Network((1, 16, 16, 1)).dimension == 321
    assert NETWORK.shapes == [(5, 4), (4, 6), (2, 5)]


def test_layers_stand_one_after_another_row_by_row_with_the_bias_last():
    first, second, third = NETWORK.split(W)
    np.testing.assert_array_equal(first, [W[4 * i : 4 * i + 4] for i in range(5)])
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in (first, second, third)]), W)
    named = NETWORK.parameters(W)
    assert list(named) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    np.testing.assert_array_equal(named["b1"], W[3:20:4])
    np.testing.assert_array_equal(np.column_stack([named["W3"], named["b3"]]).ravel(), W[-10:])


def test_outputs_are_those_of_a_loop_over_units():
    X = np.random.default_rng(1).standard_normal((6, 3))
    named = NETWORK.parameters(W)
    expected = []
    for x in X:
        a = x
        for layer in (1, 2, 3):
            s = [sum(weight * unit for weight, unit in zip(row, a, strict=True)) + b
                 for row, b in zip(named[f"W{layer}"], named[f"b{layer}"], strict=True)]  # fmt: skip
            a = np.tanh(s) if layer < 3 else np.array(s)
        expected.append(a)
    np.testing.assert_allclose(NETWORK.outputs(jnp.asarray(W), jnp.asarray(X)), expected, rtol=1e-13)


def test_initial_weights_are_normal_with_variance_one_over_the_fan_in_and_biases_zero():
    wide = Network((100, 200, 50, 10))
    named = wide.parameters(wide.initial(3, "float64"))
    for layer, (fan_in, out) in enumerate([(100, 200), (200, 50), (50, 10)], start=1):
        scaled = named[f"W{layer}"].ravel() * np.sqrt(fan_in)
        n = fan_in * out
        assert abs(scaled.mean()) < 4 / np.sqrt(n)
        assert abs(scaled.var() - 1) < 4 * np.sqrt(2 / n)
        assert abs(np.mean(scaled**4) - 3) < 4 * np.sqrt(96 / n)
        assert np.all(named[f"b{layer}"] == 0)


def test_initial_weights_follow_from_the_seed_alone():
    first, again, other = (NETWORK.initial(seed, "float32") for seed in (0, 0, 1))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert np.all((first != other) | (first == 0))


def test_sparse_initial_weights_are_normal_from_fifteen_inputs_of_each_unit():
    wide = Network((100, 200, 9, 50))
    named = wide.parameters(wide.initial(3, "float64", "sparse"))
    for layer, (fan_in, out) in enumerate([(100, 200), (200, 9), (9, 50)], start=1):
        W, connections = named[f"W{layer}"], min(15, fan_in)
        np.testing.assert_array_equal(np.count_nonzero(W, axis=1), connections)
        n = connections * out
        assert abs(W.sum() / n) < 4 / np.sqrt(n)
        assert abs(np.sum(W**2) / n - 1) < 4 * np.sqrt(2 / n)
        assert np.all(named[f"b{layer}"] == 0)
    # Which inputs a unit has is drawn anew for each unit: every input serves some unit, none serves them all.
    served = np.count_nonzero(named["W1"], axis=0)
    assert 0 < served.min() < served.max() < 200


def test_joining_is_what_splitting_undoes():
    np.testing.assert_array_equal(NETWORK.join(NETWORK.split(W)), W)
    np.testing.assert_array_equal(np.concatenate([W[part] for part in NETWORK.slices]), W)


def test_a_linear_hidden_layer_has_no_tanh():
    X = np.random.default_rng(1).standard_normal((6, 3))
    named = NETWORK.parameters(W)
    a = np.tanh(X @ named["W1"].T + named["b1"]) @ named["W2"].T + named["b2"]
    z = NETWORK._replace(linear=(2,)).outputs(jnp.asarray(W), jnp.asarray(X))
    np.testing.assert_allclose(z, a @ named["W3"].T + named["b3"], rtol=1e-13)


def test_a_layers_gradient_is_its_offsets_gradient_times_its_inputs():
    """DW̄ = Dsᵀ ā, against jax.grad in the weights."""
    X, w = jnp.asarray(np.random.default_rng(1).standard_normal((6, 3))), jnp.asarray(W)
    Dz = jnp.asarray(np.random.default_rng(2).standard_normal((6, 2)))
    zeros = [jnp.zeros((6, out)) for out, _ in NETWORK.shapes]
    Ds = jax.grad(lambda offsets: jnp.sum(NETWORK.record(w, X, offsets)[0] * Dz))(zeros)
    _, inputs = NETWORK.record(w, X)
    blocks = [s.T @ homogeneous(a) for s, a in zip(Ds, inputs, strict=True)]
    Dw = jax.grad(lambda w: jnp.sum(NETWORK.outputs(w, X) * Dz))(w)
    np.testing.assert_allclose(NETWORK.join(blocks), Dw, rtol=1e-12, atol=1e-13)
