"""K-FAC on the digits autoencoders beside kfac_jax: the same data, weights and batch, in turns on the same machine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from secondorder import program
from secondorder.run import events
from secondorder.spec import parse
from tests.benchmarks import peers
from tests.benchmarks.measure import Row, execute, seconds
from tests.oracles import make_problem

TURNS = 3
RACES = {"small": (300, (50, 100, 250, 500, 1000)), "deep": (100, (50, 100, 250, 500))}
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
    file, told = given(size, folder), folder / "told.npz"
    execute(body(size, 30))
    rates: list[tuple[float, float]] = []
    for _ in range(TURNS):
        ours = steps / seconds(lambda: execute(body(size, steps)), 1)[0]
        peers.run("autoencoder.py", str(file), str(told), str(steps))
        rates.append((ours, steps / float(np.load(told)["seconds"])))
    ours, theirs = np.median(rates, axis=0)
    ratio = float(np.median([a / b for a, b in rates]))
    yield Row(
        f"kfac, {size} autoencoder, 1797 examples a step, float32, against kfac_jax",
        "≥ 1.0x, aim 1.3x" if size == "small" else "≥ 1.0x",
        f"{ratio:.2f}x",
        f"{ours:.0f} steps/s, spec to JSON, and {theirs:.0f}; medians of {TURNS} turns",
    )
    peers.run("autoencoder.py", str(file), str(told), str(marks[-1]))
    peer = np.load(told)
    found = {
        "kfac": losses(body(size, marks[-1])),
        "kfac_jax": (peer["loss"], float(peer["seconds"])),
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


def streaming() -> Iterator[Row]:
    """Every step its own event, against chunks, against all steps in one."""
    steps, rates = 300, {}
    usual = program.CHUNK_SECONDS, program.LONGEST_CHUNK
    chunks = {"each step": (usual[0], 1), "as it is": usual, "all at once": (1e6, usual[1])}
    try:
        for turn in range(TURNS + 1):
            for name, length in chunks.items():
                program.CHUNK_SECONDS, program.LONGEST_CHUNK = length
                taken = seconds(lambda: execute(body("small", steps)), 1)[0]
                if turn:  # the first compiles
                    rates.setdefault(name, []).append(steps / taken)
    finally:
        program.CHUNK_SECONDS, program.LONGEST_CHUNK = usual
    each, as_is, once = (np.array(rates[name]) for name in chunks)
    notes = f"{np.median(each):.0f}, {np.median(as_is):.0f} and {np.median(once):.0f} steps/s, spec to JSON"
    yield Row("streaming each step, against not streaming (kfac, small)", "≥ 92 %, aim 98 %",
              f"{100 * np.median(each / once):.0f} %", notes)  # fmt: skip
    yield Row("streaming in chunks as runs do", "", f"{100 * np.median(as_is / once):.0f} %")


def sweep() -> Iterator[Row]:
    """Eight dampings as one program against eight runs."""
    steps, dampings = 100, [float(f"{damping:.3g}") for damping in np.geomspace(0.1, 30, 8)]
    whole = body("small", steps, {"name": "kfac", "damping": dampings})
    alone = [body("small", steps, {"name": "kfac", "damping": damping}) for damping in dampings]
    execute(whole | {"steps": 30})
    execute(alone[0] | {"steps": 30})
    ratios, parts = [], []
    for _ in range(TURNS):
        together = seconds(lambda: execute(whole), 1)[0]
        apart = sum(seconds(lambda spec=spec: execute(spec), 1)[0] for spec in alone)
        ratios.append(together / apart)
        parts.append((together, apart))
    together, apart = np.median(parts, axis=0)
    yield Row("a sweep of 8 dampings of kfac against eight runs", "≤ 0.7x", f"{np.median(ratios):.2f}x",
              f"{together:.2f} s against {apart:.2f} s, {steps} steps each")  # fmt: skip


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for size in RACES:
            yield from races(size, Path(folder))
    yield from streaming()
    yield from sweep()
