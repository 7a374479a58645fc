"""K-FAC on the digits autoencoders beside kfac_jax: the same data, weights and batch, in turns on the same machine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from secondorder.run import events
from secondorder.spec import parse
from tests.benchmarks import peers
from tests.benchmarks.measure import Row, execute, seconds
from tests.oracles import make_problem

TURNS = 15
RACES = {"small": (150, (50, 100, 250, 500, 1000)), "deep": (60, (50, 100, 250, 500))}
TARGETS = {"small": "≤ 15.00 at 250, ≤ 14.90 at 1000", "deep": "≤ 14.2 at 500"}


def body(size: str, steps: int, optimizer: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A race of one optimizer, all of its steps."""
    problem = {"name": "digits-autoencoder", "size": size}
    return {"problem": problem, "optimizers": [optimizer or {"name": "kfac"}], "steps": steps, "tolerance": 0} | spec


def given(size: str, folder: Path) -> Path:
    """The data and the weights at the start, as a peer reads them."""
    problem = make_problem("digits-autoencoder", size=size)
    file = folder / f"{size}.npz"
    parameters = problem.parameters(problem.start(0))
    np.savez(file, x=problem.data(0).train.inputs, linear=np.array(problem.network.linear), **parameters)
    return file


def losses(spec: dict[str, Any]) -> tuple[np.ndarray, float]:
    """The loss before each step, and the seconds of all steps."""
    told = list(events(parse(spec)))
    loss = np.concatenate([event.data["columns"]["loss"] for event in told if event.kind == "chunk"])
    return loss, [event.data["seconds"] for event in told if event.kind == "clock"][-1]


def at_seconds(loss: np.ndarray, taken: float, budget: float) -> float:
    """The loss reached within a budget of seconds, steps being equally long."""
    return float(loss[min(int(budget / taken * (len(loss) - 1)), len(loss) - 1)])


def races(size: str, folder: Path) -> Iterator[Row]:
    steps, marks = RACES[size]
    told = folder / "told.npz"
    execute(body(size, 30))
    with peers.started("autoencoder.py", str(given(size, folder)), str(told)) as theirs:
        turns = [(seconds(lambda: execute(body(size, steps)), 1)[0], theirs(steps)) for _ in range(TURNS)]
        peer_seconds = theirs(marks[-1])
        peer = np.load(told)["loss"]
    ours, others = steps / np.median(turns, axis=0)
    low, ratio, high = np.percentile([other / our for our, other in turns], [25, 50, 75])
    yield Row(
        f"kfac, {size} autoencoder, 1797 examples a step, float32, against kfac_jax",
        "≥ 1.0x, aim 1.3x" if size == "small" else "≥ 1.0x",
        f"{ratio:.2f}x",
        f"{ours:.0f} steps/s, spec to JSON, and {others:.0f}; {TURNS} turns of {steps} steps, half of them between "
        f"{low:.2f} and {high:.2f}x",
    )
    found = {
        "kfac": losses(body(size, marks[-1])),
        "kfac_jax": (peer, peer_seconds),
        "Adam(1e-2)": losses(body(size, marks[-1], {"name": "adam", "rate": 1e-2})),
    }
    if size == "small":
        found["ekfac"] = losses(body(size, marks[-1], {"name": "ekfac"}))
        found["kfac-block-tridiagonal"] = losses(body(size, marks[-1], {"name": "kfac-block-tridiagonal"}))
    for name, (loss, _) in found.items():
        reached = ", ".join(f"{loss[min(mark, len(loss) - 1)]:.3f}" for mark in marks)
        target = TARGETS[size] if name == "kfac" else ""
        yield Row(f"loss of {name}, {size}, at steps {', '.join(map(str, marks))}", target, reached)
    budget = min(taken for _, taken in found.values())
    reached = ", ".join(f"{name} {at_seconds(loss, taken, budget):.3f}" for name, (loss, taken) in found.items())
    yield Row(f"loss at equal seconds ({budget:.1f} s), {size}", "", reached)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for size in RACES:
            yield from races(size, Path(folder))
