"""The compiled loop: nothing recompiles, sweeps are one program, chunks follow from the spec, cost is counted right."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import secondorder as so
from secondorder import catalog
from secondorder.core import Batch, Data, Optimizer, Problem, Step, knob, option, register
from secondorder.program import Program
from secondorder.run import probe
from secondorder.spec import CHUNK_SECONDS, parse, parse_probe
from tests.streams import ends, rows, told

GD, DAMPED, ADAM = {"name": "gradient-descent"}, {"name": "damped-newton"}, {"name": "adam"}
LM = {"adapt": "levenberg-marquardt"}
ROSENBROCK, QUADRATIC, LOGISTIC = ({"name": name} for name in ("rosenbrock", "quadratic", "logistic-cost"))
# Softmax regression: mini-batches, held-out data and an l2 term, in one small program.
DIGITS = {
    "name": "digits-classifier", "widths": [64, 10], "dtype": "float64", "batch": 100, "held_out": 0.25, "l2": 0.01,
}  # fmt: skip

traced = Counter()
evaluated: list[int] = [0]


@register
class Traced(Optimizer):
    """Gradient descent that knows how often it was traced."""

    name = "traced"
    title = "Traced"
    equation = ""
    rate: float = knob(0.1, "α", 0.0, 100.0, "learning rate")
    other: float = knob(0.5, "o", -10.0, 10.0, "another knob")

    def step(self, J, w, state):
        traced["step"] += 1
        return Step(-self.rate * J.gradient(w) * (1 + 0 * self.other), state, 1.0)


@register
class Leap(Optimizer):
    """Steps to infinity from row 3 on."""

    name = "leap"
    title = "Leap"
    equation = ""

    def init(self, J, w):
        return jnp.zeros((), int)

    def step(self, J, w, state):
        return Step(jnp.where(state < 3, -0.01, jnp.inf) * jnp.ones_like(w), state + 1, 0.0)


@register
class Powers(Problem):
    """J(w) = w · mean of 2^i over the batch's examples i: the step taken tells which examples were in the batch."""

    name = "powers"
    title = "Powers"
    equation = ""
    batch: int = option(0, "examples a step", minimum=0, maximum=20)

    @property
    def dimension(self):
        return 1

    @property
    def examples(self):
        return 20

    @property
    def batch_size(self):
        return self.batch

    def data(self, seed):
        i = np.arange(20.0)
        return Data(Batch(i[:, None], 2.0 ** i[:, None]))

    def start(self, seed):
        return np.zeros(1)

    def loss(self, w, batch):
        return w[0] * jnp.mean(batch.targets)


@register
class Watched(Problem):
    """Rosenbrock's function that counts how often it is evaluated."""

    name = "watched"
    title = "Watched"
    equation = ""

    def start(self, seed):
        return np.array([-1.2, 1.0])

    def loss(self, w, batch):
        def count(_):
            evaluated[0] += 1

        jax.debug.callback(count, w)
        return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    """The classes above are in the catalog, as a file of their own would have put them there."""
    for found, cls in (
        (catalog.all_optimizers(), Traced),
        (catalog.all_optimizers(), Leap),
        (catalog.all_problems(), Powers),
        (catalog.all_problems(), Watched),
    ):
        monkeypatch.setitem(found, cls.name, cls)


# --- nothing recompiles -----------------------------------------------------------------------------------------------

COMPILED = "/jax/core/compile/backend_compile_duration"
TRACED = "/jax/core/compile/jaxpr_trace_duration"


@pytest.fixture
def work():
    """Counts what JAX traces and compiles."""
    counted = Counter()

    def count(event: str, duration_secs: float, **_: Any) -> None:
        counted[event] += 1

    jax.monitoring.register_event_duration_secs_listener(count)
    yield counted
    jax.monitoring.unregister_event_duration_listener(count)


def moved(i: int) -> dict[str, Any]:
    """A spec as sliders leave it: every number in it moves, and comes as int, float, or numpy's."""
    kinds = (int, float, np.float32, np.int64, np.float64)
    number = kinds[i % len(kinds)]
    return {
        "problem": {"name": "quadratic", "condition": number(1 + i), "rotation": number(i % 3)},
        "optimizers": [
            {"name": "traced", "rate": number(1), "other": number(i % 7)},
            {"name": "damped-newton", "damping": number(i)},
            {"name": "damped-newton", "damping": [number(1), number(i)], "adapt": "levenberg-marquardt"},
        ],
        "start": [number(i % 5), number(1)],
        "tolerance": number(i % 2),
        "steps": 1 + i % 60,
        "seed": i,
        "probes": [
            {"name": "spectrum", "damping": number(i), "every": 1 + i % 7},
            {"name": "landscape", "resolution": 5, "window": [[number(-1 - i), number(0)], [number(0), number(i + 1)]]},
        ],
    }


def test_moving_every_slider_120_times_compiles_and_traces_nothing(work):
    told(**moved(1))
    before = traced["step"]
    assert before > 0
    work.clear()
    for i in range(2, 122):
        told(**moved(i))
    assert traced["step"] == before
    assert work[COMPILED] == 0
    assert work[TRACED] == 0


def test_asking_a_probe_elsewhere_compiles_nothing(work):
    def ask(i, number):
        for name, fields in (("spectrum", {"damping": number(i)}), ("quadratic-model", {}), ("damping-path", {})):
            asked = {"name": name, **fields}
            probe(parse_probe({"problem": LOGISTIC, "at": [number(i), number(1)], "probe": asked}))

    ask(1, float)
    work.clear()
    for i, number in enumerate([int, float, np.float32, np.int64] * 5):
        ask(i, number)
    assert (work[COMPILED], work[TRACED]) == (0, 0)


def test_a_sweep_is_one_program(work):
    """One lane's step is traced once; that of five lanes is the same trace, and they are compiled no more often."""
    counts = []
    for rate in ([0.1], [0.1, 0.2, 0.3, 0.4, 0.5]):
        traced.clear()
        work.clear()
        # A size that no other test takes, so that both are compiled here.
        told(problem=QUADRATIC | {"size": 3}, optimizers=[{"name": "traced", "rate": rate}], steps=50)
        counts.append((traced["step"], work[COMPILED]))
    (alone, compiled_alone), (sweep, compiled) = counts
    assert (alone, sweep) == (1, 0)
    assert 0 < compiled <= compiled_alone


@pytest.mark.parametrize("name", sorted(catalog.all_optimizers()))
def test_a_chunk_hands_on_what_it_was_handed(name):
    """Of one type, weak types included: else the second chunk would compile the whole program again."""
    fits = catalog.all_optimizers()[name].fit(catalog.all_problems()["logistic-cost"]()) is None
    problem = LOGISTIC if fits else {"name": "logistic-regression"}
    spec = parse({"problem": problem, "optimizers": [{"name": name}]})
    running = Program(spec, spec.groups[0])
    before = jax.tree.map(jax.typeof, running.lanes)
    running.advance()
    after = jax.tree.map(jax.typeof, running.lanes)
    changed = [
        f"{jax.tree_util.keystr(path)}: {one!r} became {other!r}"
        for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
        if one != other
    ]
    assert not changed


def test_chunks_of_every_length_share_one_compilation(work):
    stream = told(problem=QUADRATIC, optimizers=[{"name": "traced"}], steps=3000, tolerance=0)
    assert len({len(event.data["columns"]["loss"]) for event in stream if event.kind == "chunk"}) > 2
    before = traced["step"]
    work.clear()
    told(problem=QUADRATIC, optimizers=[{"name": "traced"}], steps=2999, tolerance=0)
    assert (traced["step"], work[COMPILED]) == (before, 0)


# --- lanes ------------------------------------------------------------------------------------------------------------

SWEPT = [
    (QUADRATIC, GD, "rate", [0.3, 1.0, 1.5]),
    (LOGISTIC, DAMPED, "damping", [0.01, 0.1, 1.0]),
    (ROSENBROCK, DAMPED | LM, "damping", [1e-3, 1.0, 30.0]),
    ({"name": "powers", "batch": 4}, {"name": "traced"}, "rate", [0.1, 0.5]),
]


@pytest.mark.parametrize(("problem", "optimizer", "swept", "values"), SWEPT, ids=lambda part: str(part)[:40])
def test_a_lane_of_a_sweep_is_the_lane_alone_to_rounding(problem, optimizer, swept, values):
    sweep = so.run(problem=problem, optimizers=[optimizer | {swept: values}], steps=40)
    for lane, alone in zip(sweep.lanes, values, strict=True):
        (single,) = so.run(problem=problem, optimizers=[optimizer | {swept: alone}], steps=40).lanes
        assert (lane.status, lane.step) == (single.status, single.step)
        np.testing.assert_allclose(lane.w, single.w, rtol=1e-9, atol=1e-11)
        for name in lane.columns:
            np.testing.assert_allclose(lane.columns[name], single.columns[name], rtol=1e-7, atol=1e-11)


def test_lanes_of_different_programs_take_turns():
    stream = told(problem=QUADRATIC, optimizers=[GD, ADAM | {"rate": [0.1, 0.2]}], steps=3000, tolerance=0)
    lanes = [event.data["lane"] for event in stream if event.kind == "chunk"]
    assert len(lanes) > 9
    assert lanes == [0, 1, 2] * (len(lanes) // 3)


def test_a_program_that_is_done_leaves_its_turns_to_the_others():
    stream = told(problem=QUADRATIC, optimizers=[GD | {"rate": 1e-5}, {"name": "newton"}], steps=3000)
    lanes = [event.data["lane"] for event in stream if event.kind == "chunk"]
    assert lanes[:2] == [0, 1]
    assert set(lanes[2:]) == {0}


# --- chunks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem", [QUADRATIC, {"name": "logistic-regression"}, DIGITS], ids=lambda problem: problem["name"]
)
def test_the_first_step_comes_alone_then_chunks_grow_to_30_ms_of_price(problem):
    spec = parse({"problem": problem, "optimizers": [GD], "steps": 1500, "tolerance": 0})
    stream = told(**spec.canonical())
    lengths = [len(event.data["columns"]["loss"]) for event in stream if event.kind == "chunk"]
    assert lengths[0] == 2, "row 0, the start, and row 1, the first step"
    assert sum(lengths) == 1501
    longest = min(CHUNK_SECONDS / spec.step_price(spec.groups[0]), 1024)
    assert max(lengths) <= longest
    assert lengths[:-1] == sorted(lengths[:-1])
    assert len(lengths) <= 4 + 1501 / longest


def test_where_chunks_end_does_not_depend_on_the_knobs():
    def firsts(rate):
        stream = told(problem=QUADRATIC, optimizers=[GD | {"rate": rate}], steps=2000, tolerance=0)
        return [event.data["first"] for event in stream if event.kind == "chunk"]

    assert firsts(0.5) == firsts(1e-4)


def test_columns_name_what_the_chunks_hold():
    spec = parse({"problem": DIGITS, "optimizers": [GD], "steps": 1})
    running = Program(spec, spec.groups[0])
    (chunk,) = running.advance()
    assert set(chunk.columns) == {*running.columns, "w"}
    assert running.columns[:4] == ["loss", "batch_loss", "test_loss", "gradient_norm"]


def test_a_step_that_is_not_finite_is_not_taken():
    stream = told(problem=QUADRATIC, optimizers=[{"name": "leap"}], steps=20)
    assert ends(stream) == [
        {"lane": 0, "status": "diverged", "step": 3, "reason": "the step from step 3 is not finite"}
    ]
    assert np.isfinite(rows(stream)["w"]).all()
    assert len(rows(stream)["w"]) == 4


# --- mini-batches and held-out data -----------------------------------------------------------------------------------


def batches(batch: int, steps: int, seed: int = 0) -> list[set[int]]:
    """The examples in each step's batch, read from the step that `Powers` takes: exact in binary."""
    lane = so.run(
        problem={"name": "powers", "batch": batch}, optimizers=[{"name": "traced", "rate": 2.0**-10}],
        steps=steps, tolerance=0, seed=seed,
    ).lanes[0]  # fmt: skip
    sums = np.rint(-np.diff(lane.w[:, 0]) * 2**10 * (batch or 20)).astype(int).tolist()
    found = [{i for i in range(20) if total >> i & 1} for total in sums]
    if batch:
        # The column tells the loss of the batch that the step from this row is taken on.
        np.testing.assert_allclose(lane.batch_loss[:-1], lane.w[:-1, 0] * np.array(sums) / batch, rtol=1e-12)
    else:
        assert "batch_loss" not in lane.columns
    return found


@pytest.mark.parametrize("batch", [4, 8])
def test_an_epoch_visits_each_example_at_most_once(batch):
    in_epoch = 20 // batch
    steps = batches(batch, 12 * in_epoch)
    assert {len(step) for step in steps} == {batch}
    epochs = [steps[i : i + in_epoch] for i in range(0, len(steps), in_epoch)]
    for epoch in epochs:
        assert len(set().union(*epoch)) == batch * in_epoch, "an example came twice"
    assert len({tuple(map(frozenset, epoch)) for epoch in epochs}) > 6, "epochs are shuffled anew"
    assert set().union(*steps) == set(range(20)), "no example is left out for good"


def test_the_order_of_batches_follows_from_the_seed_alone():
    assert batches(4, 30) == batches(4, 30)
    assert batches(4, 30)[:20] == batches(4, 20)
    assert batches(4, 30) != batches(4, 30, seed=1)


def test_a_batch_of_0_is_all_the_data():
    assert batches(0, 5) == [set(range(20))] * 5


def cross_entropy(w: np.ndarray, batch: Batch) -> float:
    """Mean cross-entropy of the softmax of a linear model 64-10, in numpy."""
    Wb = w.reshape(10, 65)
    z = np.asarray(batch.inputs) @ Wb[:, :-1].T + Wb[:, -1]
    z -= z.max(axis=1, keepdims=True)
    t = np.asarray(batch.targets)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(t)), t]))


def test_loss_is_over_all_training_data_and_test_loss_over_the_held_out():
    run = so.run(problem=DIGITS, optimizers=[GD], steps=12, seed=3)
    data = run.spec.problem.data(3)
    assert data.test is not None
    assert (len(data.train.inputs), len(data.test.inputs)) == (1348, 449)
    lane = run.lanes[0]
    train = [cross_entropy(w, data.train) + 0.01 / 2 * w @ w for w in lane.w]
    np.testing.assert_allclose(lane.loss, train, rtol=1e-12)
    np.testing.assert_allclose(lane.test_loss, [cross_entropy(w, data.test) for w in lane.w], rtol=1e-12)
    # Beside them the loss of a batch of 100, another one in each row.
    assert (np.abs(lane.batch_loss - lane.loss) > 1e-6).all()


def test_nothing_held_out_is_no_test_loss():
    assert "test_loss" not in so.run(problem=QUADRATIC, optimizers=[GD], steps=1).lanes[0].columns


# --- passes -----------------------------------------------------------------------------------------------------------

PASSES = {
    "gradient-descent": 1.0,
    "momentum": 1.0,
    "adam": 1.0,
    "newton": 1.0 + 2,
    "damped-newton": 1.0 + 2,
    "gauss-newton": 1.0 + 2,
    "natural-gradient": 1.0 + 2,
    "saddle-free-newton": 1.0 + 2,
}


@pytest.mark.parametrize("name", PASSES)
def test_passes_of_a_step(name):
    """A gradient 1, an exact matrix of n = 2 weights n."""
    lane = so.run(problem=LOGISTIC, optimizers=[{"name": name}], steps=4, tolerance=0).lanes[0]
    np.testing.assert_allclose(lane.passes, PASSES[name] * np.arange(5), rtol=1e-14)


def test_passes_of_a_step_that_adapts_its_damping():
    """The new loss alone is 1/3 more, also where the step is not taken."""
    lane = so.run(problem=ROSENBROCK, optimizers=[DAMPED | LM], steps=20).lanes[0]
    np.testing.assert_allclose(lane.passes, (3 + 1 / 3) * np.arange(21), rtol=1e-13)
    assert (lane.step_norm[1:] == 0).any(), "a step was refused"
    assert (lane.step_norm[1:] > 0).any()


def test_passes_of_a_batch_are_its_share_of_the_data():
    lane = so.run(problem=DIGITS, optimizers=[GD], steps=7).lanes[0]
    np.testing.assert_allclose(lane.passes, np.arange(8) * 100 / 1348, rtol=1e-12)
    np.testing.assert_array_equal(lane.examples, np.arange(8) * 100)


def test_examples_are_those_of_the_batches_that_were_read():
    """Batches that do not fill an epoch, and all the data at once: N a step."""
    for batch, each in ((8, 8), (0, 20)):
        run = so.run(
            problem={"name": "powers", "batch": batch}, optimizers=[{"name": "traced", "rate": 2.0**-10}],
            steps=5, tolerance=0,
        )  # fmt: skip
        np.testing.assert_array_equal(run.lanes[0].examples, np.arange(6) * each)
        assert run.events[0].data["examples"] == 20


def test_passes_of_a_line_search_are_what_it_evaluates():
    """One step more costs its own evaluations and the telemetry's one."""

    def evaluations(steps):
        evaluated[0] = 0
        lane = so.run(problem={"name": "watched"}, optimizers=[{"name": "lbfgs"}], steps=steps).lanes[0]
        jax.effects_barrier()
        return evaluated[0], lane.passes

    counts, passes = zip(*(evaluations(steps) for steps in range(1, 9)), strict=True)
    # A run of N steps has looked at rows 0…N, and searched from each: the last search leads to no row of this run.
    taken = np.diff(passes[-1])
    np.testing.assert_array_equal(np.diff(counts)[:-1], taken[2:] + 1)
    assert taken.min() >= 2
    assert taken.max() > 2, "a search of more than one step was among them"
