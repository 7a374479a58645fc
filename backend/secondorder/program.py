r"""The compiled loop: one entry of a spec's ``optimizers`` is one program, mapped over the knobs of its lanes.

The number of turns is an argument of the loop, so chunks of any length share one compilation. Turn k looks at w_k (row
k of the telemetry), decides whether the lane goes on, and steps. How long chunks are follows from the spec alone, so
that a replay has the same events.
"""

import dataclasses
import time
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from secondorder.core import Batch, Data, Objective, Optimizer, Problem, Step, options
from secondorder.spec import CHUNK_SECONDS, Group, RunSpec

RUNNING, CONVERGED, DIVERGED, STOPPED, BUDGET = range(5)
STATUS = ("running", "converged", "diverged", "stopped", "budget")
LOSS, GRADIENT, STEP = 1, 2, 3  # what was not finite; larger causes are STEP + a refusal's number
LONGEST_CHUNK = 1024
CACHE = 4e6  # bytes that a core's cache may hold
NEXT_DAMPING = "next damping"  # not telemetry: what probes of a row are told
GROWTH = 128  # of a chunk over the one before
SAMPLING = 2**31  # folded into the seed: what steps draw from is not what batches are shuffled by


class Lane(NamedTuple):
    """What a lane carries from turn to turn."""

    w: jax.Array
    state: Any  # the optimizer's
    led: dict[str, jax.Array]  # telemetry of the step that led to w
    passes: jax.Array
    first_loss: jax.Array
    status: jax.Array
    cause: jax.Array
    last: jax.Array  # the last row


class Limits(NamedTuple):
    steps: Any
    tolerance: Any


class Now(NamedTuple):
    """What a turn is about, the same for all lanes."""

    k: jax.Array
    key: jax.Array
    noise: jax.Array | None  # of the batch's targets, where the likelihood has such: computed only where a step asks
    batch: Batch | None  # None: all the data
    sampled: bool  # whether batches are drawn from the data in this run, if not at this step


def _batch(data: Batch, size: int, order: jax.Array, k: jax.Array) -> Batch:
    """Step k's batch of a size; all the data for size 0."""
    if not size:
        return data
    # An epoch's last, incomplete batch is left out; the next epoch shuffles anew.
    chosen = jax.lax.dynamic_slice(order, (k % (len(order) // size) * size,), (size,))
    return jax.tree.map(lambda a: jnp.asarray(a)[chosen], data)


def _shuffle(size: int, order: jax.Array, k: jax.Array, seed: jax.Array) -> jax.Array:
    if not size:
        return order
    batches = len(order) // size
    key = jax.random.fold_in(jax.random.key(seed), k // batches)
    shuffled = partial(jax.random.permutation, key, order)
    return jax.lax.cond(k % batches == 0, shuffled, lambda: order)


def step_key(seed: jax.Array, k: jax.Array | int) -> jax.Array:
    """What step k of a run draws random numbers from."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), np.uint32(SAMPLING)), k)


def _step_columns(step: Step, g: jax.Array) -> dict[str, jax.Array]:
    return {"step_norm": jnp.linalg.norm(step.delta), "slope": g @ step.delta} | step.columns


@jax.jit
def _step(optimizer: Optimizer, J: Objective, w: jax.Array, state: Any) -> Step:
    """One step, never compiled by itself: what asks for its shapes, and for them again, finds it traced already."""
    return optimizer.step(J, w, state)


def _turn(now: Now, data: Data, limits: Limits, problem: Problem, optimizer: Optimizer, lane: Lane):
    """Row k of one lane, and the lane one step on."""
    k = now.k
    # XLA would compute what follows from the targets alone before the loop, by itself for the row's gradient and for
    # the step's: then it no longer sees that they are the same, and computes both.
    targets, w = jax.lax.optimization_barrier((data.train.targets, lane.w))
    lane, train = lane._replace(w=w), data.train._replace(targets=targets)
    J = Objective(problem, train, k, now.key)
    loss, g = J.value_and_gradient(lane.w)
    norm = jnp.linalg.norm(g)
    row = {"loss": loss, "gradient_norm": norm, **lane.led, "passes": lane.passes, "w": lane.w}
    row[NEXT_DAMPING] = jnp.asarray(optimizer.damping_now(lane.state), float)
    J_batch = dataclasses.replace(J, batch=train if now.batch is None else now.batch, noise=now.noise)
    share = len(J_batch.batch.inputs) / len(train.inputs)
    if now.sampled:
        row["batch_loss"] = J_batch(lane.w)
    if data.test is not None:
        row["test_loss"] = problem.loss(lane.w, data.test)
    finite = jnp.isfinite(loss) & jnp.isfinite(norm) | (k == 0)
    converged = (norm <= limits.tolerance) & (limits.tolerance > 0)
    status = jnp.where(k >= limits.steps, BUDGET, RUNNING)
    status = jnp.where(~finite, DIVERGED, jnp.where(converged, CONVERGED, status))
    cause = jnp.where(finite, 0, jnp.where(jnp.isfinite(loss), GRADIENT, LOSS))

    step = _step(optimizer, J_batch, lane.w, lane.state)
    first_loss = jnp.where(k == 0, loss, lane.first_loss)
    step_finite = jnp.all(jnp.isfinite(step.delta))
    taken = step_finite & (step.refused == 0)
    refused = jnp.where((step.refused > 0) & ~(loss > first_loss), STOPPED, DIVERGED)
    going = status == RUNNING
    cause = jnp.where(going & ~taken, jnp.where(step.refused > 0, STEP + step.refused, STEP), cause)
    status = jnp.where(going & ~taken, refused, status)

    moved = Lane(
        w=lane.w + step.delta.astype(lane.w.dtype),
        state=(),
        led={},
        passes=lane.passes + step.passes * share,
        first_loss=first_loss,
        status=status,
        cause=cause,
        last=k,
    )
    old = lane._replace(state=(), led={})
    stays = old._replace(status=status, cause=cause, last=jnp.where(finite, k, k - 1), first_loss=first_loss)
    was_running = lane.status == RUNNING
    next_lane = jax.tree.map(
        lambda new, held, old: jnp.where(was_running, jnp.where(status == RUNNING, new, held), old).astype(old.dtype),
        moved, stays, old,
    )  # fmt: skip
    # Nobody looks at these of a lane that has ended: to hold them would copy a large state at every step.
    state = jax.tree.map(lambda new, old: new.astype(old.dtype), step.state, lane.state)
    led = {name: value.astype(lane.led[name].dtype) for name, value in _step_columns(step, g).items()}
    return next_lane._replace(state=state, led=led), row


def in_precision(dtype: str, *parts: Any) -> Any:
    """The parts with their knobs in a problem's precision, so that float32 weights stay so."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parts)


def _noise(problem: Problem, key: jax.Array, batch: Batch, w: jax.Array) -> jax.Array | None:
    """Random numbers for one target an example, the same for all lanes."""
    if problem.likelihood is None:
        return None
    z = jax.eval_shape(problem.outputs, w, batch.inputs)
    return problem.likelihood.noise(key, z.shape, z.dtype)


def _over_lanes(turn, lanes: int, in_turns: bool):
    """``turn(optimizer, lane)`` for every lane; one lane alone is not batched, which is faster."""
    if lanes > 1 and in_turns:
        return lambda optimizer, lane: jax.lax.map(lambda both: turn(*both), (optimizer, lane))
    if lanes > 1:
        return jax.vmap(turn)

    def single(optimizer, lane):
        one = jax.tree.map(lambda a: a[0], (optimizer, lane))
        return jax.tree.map(lambda a: a[None], turn(*one))

    return single


@partial(jax.jit, static_argnames=("size", "capacity", "in_turns"))
def _advance(problem, optimizer, data, lanes, order, seed, limits, first, turns, size, capacity, in_turns):
    """Up to ``turns`` turns from row ``first`` on: lanes, the shuffled order, and rows (capacity, lanes, …)."""
    problem, optimizer = in_precision(problem.dtype, problem, optimizer)
    number = lanes.w.shape[0]

    def turn_at(k, order):
        key, batch = step_key(seed, k), _batch(data.train, size, order, k) if size else None
        noise = _noise(problem, key, data.train if batch is None else batch, lanes.w[0])
        return partial(_turn, Now(k, key, noise, batch, sampled=len(order) > 0), data, limits, problem)

    def body(carry):
        i, lanes, order, rows = carry
        k = first + i
        order = _shuffle(size, order, k, seed)
        turn = turn_at(k, order)
        lanes, row = _over_lanes(turn, number, in_turns)(optimizer, lanes)
        rows = {name: rows[name].at[i].set(value) for name, value in row.items()}
        return i + 1, lanes, order, rows

    def more(carry):
        return (carry[0] < turns) & jnp.any(carry[1].status == RUNNING)

    shapes = jax.eval_shape(_over_lanes(turn_at(first, order), number, in_turns), optimizer, lanes)[1]
    rows = {name: jnp.zeros((capacity, *shape.shape), shape.dtype) for name, shape in shapes.items()}
    _, lanes, order, rows = jax.lax.while_loop(more, body, (0, lanes, order, rows))
    return lanes, order, _packed(rows)


def _packed(rows: dict[str, jax.Array]) -> dict[tuple[str, ...], jax.Array]:
    """Columns of one shape and type as one array, under all their names: handing one over takes its time."""
    kinds: dict[tuple, list[str]] = {}
    for name, column in rows.items():
        kinds.setdefault((column.shape, column.dtype), []).append(name)
    return {tuple(names): jnp.stack([rows[name] for name in names]) for names in kinds.values()}


def _unpacked(packed: dict[tuple[str, ...], np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column for names, columns in packed.items() for name, column in zip(names, columns, strict=True)}


@partial(jax.jit, static_argnames="size")
def _first_lanes(problem, optimizer, data, starts, seed, size):
    """The lanes at their starts, telemetry of steps not yet taken as NaN."""
    problem, optimizer = in_precision(problem.dtype, problem, optimizer)

    def one(optimizer, w):
        k = jnp.zeros((), int)
        key, batch = step_key(seed, k), _batch(data.train, size, jnp.arange(len(data.train.inputs)), k)
        J = Objective(problem, batch, k, key, _noise(problem, key, batch, w))
        # Strongly typed, as a step returns it: a weak type would compile the second chunk anew.
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), optimizer.init(J, w))
        step = jax.eval_shape(_step, optimizer, J, w, state)
        led = {
            name: jnp.full(shape.shape, jnp.nan, shape.dtype)
            for name, shape in jax.eval_shape(_step_columns, step, w).items()
        }
        zero = jnp.asarray(0, jnp.int32)
        return Lane(w, state, led, jnp.zeros(()), jnp.zeros((), w.dtype), zero, zero, zero)

    return jax.vmap(one)(optimizer, starts)


@lru_cache(maxsize=8)
def _data(problem_type: type, options: tuple, seed: int) -> Data:
    """A problem's data on the device; knobs never change data, so only options and the seed are its key."""
    return jax.tree.map(jnp.asarray, problem_type(**dict(options)).data(seed))


def load(problem: Problem, seed: int) -> Data:
    """The problem's data on the device, loaded once for each choice of options and seed."""
    return _data(type(problem), tuple((name, getattr(problem, name)) for name in options(problem)), seed)


def canonical(part: Any) -> Any:
    """Every leaf a float64: 1, 1.0 and float32(1) would each be traced anew."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), part)


def first_weights(spec: RunSpec) -> np.ndarray:
    """Where the lanes of a run start, shape (D,)."""
    return np.asarray(spec.problem.start(spec.seed) if spec.start is None else spec.start, spec.problem.dtype)


_compiled: set = set()


class Chunk(NamedTuple):
    """Some rows of one lane of a group, from row ``first`` on, and whether the lane ended with them."""

    lane: int
    first: int
    columns: dict[str, np.ndarray]
    dampings: np.ndarray  # η of the step that each row leads to, NaN where there is none
    ended: bool


class _Begun(NamedTuple):
    """A chunk that the device is at work on, from row ``first`` on."""

    first: int
    began: float
    rows: dict[tuple[str, ...], jax.Array]
    last: jax.Array
    status: jax.Array


class Program:
    """The lanes of one group under way."""

    def __init__(self, spec: RunSpec, group: Group):
        self.spec, self.group = spec, group
        stacked = {name: np.array([knobs[name] for knobs in group.lanes]) for name in group.lanes[0]}
        optimizer = group.optimizer(stacked, len(group.lanes))
        limits = Limits(np.int64(spec.steps), np.float64(spec.tolerance))
        given = canonical(spec.problem), canonical(optimizer), np.uint32(spec.seed), limits
        # On the device once and for all: to bring them at every chunk would take as long as a small network's step.
        self.problem, self.optimizer, self.seed, self.limits = jax.device_put(given)
        self.data = load(spec.problem, spec.seed)
        starts = np.tile(first_weights(spec), (len(group.lanes), 1))
        self.sizes = group.optimizer(group.lanes[0]).batches(spec.problem, spec.steps)
        self.sampled = any(size for _, size in self.sizes)
        # Fetched before each row: every step fetches its batch. Known beforehand, so the loop does not count it.
        firsts, sizes = np.transpose(self.sizes)
        fetched = np.repeat(np.where(sizes, sizes, len(self.data.train.inputs)), np.diff([*firsts, spec.steps]))
        self.examples = np.concatenate([[0], np.cumsum(fetched)])
        self.order = np.arange(len(self.data.train.inputs) if self.sampled else 0, dtype=np.int32)
        # On a CPU, lanes that together would not stay in a core's cache step one after the other.
        self.in_turns = spec.memory_of(group) > CACHE and jax.default_backend() == "cpu"
        first_size = self.sizes[0][1]
        self.lanes = _first_lanes(self.problem, self.optimizer, self.data, starts, self.seed, size=first_size)
        affordable = CHUNK_SECONDS / spec.step_price(group)
        self.longest = int(np.clip(affordable, 1, LONGEST_CHUNK))
        self.capacity = max(2, 1 << (self.longest - 1).bit_length())
        self.status, self.last = np.full(len(group.lanes), RUNNING), np.zeros(len(group.lanes), int)
        self.seconds, self.done = 0.0, False
        self._works_ahead = len(spec.groups) == 1 and affordable >= 1
        self._begun, self._turns, self._ready = 0, 2, 0.0  # the first row not yet begun, the turns after it
        self._ahead: _Begun | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the telemetry's columns, in the order in which a reader wants them."""
        extra = ["batch_loss"] * self.sampled + ["test_loss"] * (self.data.test is not None)
        usual = ["loss", *extra, "gradient_norm", "step_norm", "slope", "passes", "examples"]
        return usual + [name for name in self.lanes.led if name not in usual]  # then what the optimizer adds

    def _run(self, turns: int, size: int):
        return _advance(
            self.problem, self.optimizer, self.data, self.lanes, self.order, self.seed, self.limits,
            np.int64(self._begun), np.int64(turns), size=size, capacity=self.capacity,
            in_turns=self.in_turns,
        )  # fmt: skip

    def _begin(self) -> "_Begun":
        """Sets the device to work on the next chunk, and does not wait for it."""
        first = self._begun
        size = next(size for start, size in reversed(self.sizes) if start <= first)
        turns = min([self._turns, *(start - first for start, _ in self.sizes if start > first)])
        program = jax.tree.structure((self.problem, self.optimizer)), self.lanes.w.shape, size, self.capacity
        if program not in _compiled:
            jax.block_until_ready(self._run(0, size))  # so that compiling does not count as a step's time
            _compiled.add(program)
        began = time.perf_counter()
        self.lanes, self.order, rows = self._run(turns, size)
        self._begun, self._turns = first + turns, min(self._turns * GROWTH, self.longest)
        return _Begun(first, began, rows, self.lanes.last, self.lanes.status)

    def advance(self) -> list["Chunk"]:
        """The next chunk of each lane that had rows in it. The first is one step alone.

        A program that is alone has the device at work on the chunk after it while its caller writes this one down. (Of
        several, each would have its seconds lengthened by what the others began. And where one step is dear,
        little would be gained, and whoever cancels would wait for two of them.)
        """
        chunk = self._ahead or self._begin()
        self._ahead = self._begin() if self._works_ahead else None
        rows, last, status = jax.device_get(chunk[2:])
        now = time.perf_counter()
        self.seconds += now - max(chunk.began, self._ready)
        self._ready = now
        first, going = chunk.first, self.status == RUNNING
        self.status, self.last = status, last
        self.done = bool(np.all(status != RUNNING))
        # Lane by lane and contiguous, as JSON wants them. A running lane's `last` is the row it has just stepped from.
        length = int(max(last.max() - first + 1, 0))
        columns = _unpacked(rows).items()
        rows = {name: np.ascontiguousarray(column[:length].swapaxes(0, 1)) for name, column in columns}
        dampings = rows.pop(NEXT_DAMPING)
        return [
            Chunk(
                lane,
                first,
                {name: column[lane, :count] for name, column in rows.items()}
                | {"examples": self.examples[first : first + count]},
                dampings[lane, :count],
                status[lane] != RUNNING,
            )
            for lane, count in enumerate((last - first + 1).tolist())
            if going[lane] and count > 0
        ]

    def ends(self) -> list[tuple[str, int, str]]:
        """Status, last row and reason of each lane."""
        return [
            (STATUS[status], last, self._reason(status, cause, last))
            for status, cause, last in zip(
                self.status.tolist(), np.asarray(self.lanes.cause).tolist(), self.last.tolist(), strict=True
            )
        ]

    def _reason(self, status: int, cause: int, last: int) -> str:
        if status == CONVERGED:
            return f"the gradient norm is within the tolerance {self.spec.tolerance:g}"
        if status == BUDGET:
            return f"all {self.spec.steps} steps are used"
        if cause in (LOSS, GRADIENT):
            return f"the {'loss' if cause == LOSS else 'gradient'} is not finite at step {last + 1}"
        if cause == STEP:
            return f"the step from step {last} is not finite"
        return f"{self.group.cls.refusals[cause - STEP - 1]} at step {last}"
