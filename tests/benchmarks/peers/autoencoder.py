"""kfac_jax on the digits autoencoder, in the peers' own environment: `python autoencoder.py given.npz told.npz STEPS`.

``given`` holds the data x, the layers' weights W1, b1, W2, … and which hidden layers are linear, as our own optimizer
starts with them; ``told`` gets the loss before each step and the seconds that the steps took. One step is one call, as
kfac_jax is used; seconds are taken over all calls, after as many of each kind of step as its host-side schedule has.
"""

import sys
import time

import jax
import jax.numpy as jnp
import kfac_jax
import numpy as np

WARM = 12  # steps that compile: the first, those that invert, those that adapt
L2 = 1e-5


def outputs(parameters, x, linear):
    a = x
    for number, (W, b) in enumerate(parameters, start=1):
        s = a @ W + b
        a = s if number in linear or number == len(parameters) else jnp.tanh(s)
    return a


def main() -> None:
    given, told = np.load(sys.argv[1]), sys.argv[2]
    x, linear = jnp.asarray(given["x"]), set(given["linear"].tolist())
    layers = sum(name.startswith("W") for name in given.files)
    start = [(jnp.asarray(given[f"W{i}"].T), jnp.asarray(given[f"b{i}"])) for i in range(1, layers + 1)]

    def loss(parameters, batch):
        z = outputs(parameters, batch, linear)
        kfac_jax.register_multi_bernoulli_predictive_distribution(z, batch)
        total = jnp.sum(jax.nn.softplus(z) - batch * z) / len(batch)
        return total + L2 / 2 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(parameters))

    optimizer = kfac_jax.Optimizer(
        value_and_grad_func=jax.value_and_grad(loss),
        l2_reg=L2,
        use_adaptive_learning_rate=True,
        use_adaptive_momentum=True,
        use_adaptive_damping=True,
        initial_damping=1.0,
        damping_adaptation_interval=5,
        inverse_update_period=5,
        num_burnin_steps=0,
        curvature_ema=0.95,
    )

    def run(steps):
        parameters, key = jax.tree.map(jnp.array, start), jax.random.key(0)
        state = optimizer.init(parameters, key, x)
        jax.block_until_ready(state)
        losses, began = [], time.perf_counter()
        for step in range(steps):
            key, own = jax.random.split(key)
            parameters, state, stats = optimizer.step(parameters, state, own, batch=x, global_step_int=step)
            losses.append(stats["loss"])
        jax.block_until_ready(parameters)
        return np.array([float(loss) for loss in losses]), time.perf_counter() - began

    run(WARM)
    for line in sys.stdin:
        losses, seconds = run(int(line))
        np.savez(told, loss=losses)
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
