r"""From a spec to its events, and the Python API on top of them.

Chunks are the unit of streaming, of cancelling and of taking turns between the programs of a run.
"""

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from secondorder import catalog
from secondorder.probing import answers, answers_in_run, probe
from secondorder.program import Program, first_weights
from secondorder.spec import ProbeRequest, RunSpec, parse, probe_class
from secondorder.trajectories import Path, recent, rows_of, weights_at

__all__ = ["Event", "ProbeRequest", "Run", "answers", "configure", "events", "parameters", "probe", "replay", "run"]

SHOWN_WEIGHTS = 3  # events carry w up to this many


class Event(NamedTuple):
    """``kind`` is run, chunk, probe, clock or end; ``data`` is JSON once NaN is read as null."""

    kind: str
    data: dict[str, Any]


def configure(cache_directory: str | None = None) -> None:
    """Turns JAX's persistent compilation cache on, for every program however small."""
    if cache_directory:
        jax.config.update("jax_compilation_cache_dir", cache_directory)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _unfit(spec: RunSpec) -> dict[str, str]:
    """The probes that cannot be asked of the run's problem, each with the reason: the catalog knows that of every
    problem's defaults alone."""
    found = {name: cls.fit(spec.problem) for name, cls in catalog.all_probes().items()}
    return {name: reason for name, reason in found.items() if reason is not None}


def events(spec: RunSpec) -> Generator[Event, None, None]:
    """The events that a spec denotes; between two of them the run may be left alone or closed."""
    programs = [Program(spec, group) for group in spec.groups]
    columns = list(dict.fromkeys(name for program in programs for name in program.columns))
    dimension = spec.problem.dimension
    if dimension <= SHOWN_WEIGHTS:
        columns.append("w")
    told = {
        "id": spec.id,
        "spec": spec.canonical(),
        "lanes": spec.lanes,
        "dimension": dimension,
        "examples": spec.problem.examples,
        "columns": columns,
        "unfit": _unfit(spec),
    }
    yield Event("run", told)
    path, waiting = recent.begin(spec.id), deque(programs)
    try:
        while waiting:
            program = waiting.popleft()
            yield from _chunk(spec, program, path)
            if not program.done:
                waiting.append(program)
        path.complete = True
    finally:
        if not path.complete:
            recent.drop(path)
    for part in spec.probes:
        if probe_class(part).of_the_whole_run:
            for answer in answers_in_run(part, spec, first_weights(spec), np.nan):
                yield Event("probe", answer.event(lane=0, step=0, name=part["name"]))
    ends = [end for program in programs for end in program.ends()]
    lanes = [{"lane": i, "status": s, "step": step, "reason": why} for i, (s, step, why) in enumerate(ends)]
    yield Event("end", {"lanes": lanes})


def _chunk(spec: RunSpec, program: Program, path: Path) -> Iterator[Event]:
    probes = [part for part in spec.probes if not probe_class(part).of_the_whole_run]
    for chunk in program.advance():
        rows, lane, first = chunk.columns, program.group.first + chunk.lane, chunk.first
        last = first + len(rows["loss"]) - 1
        recent.add(path, lane, rows["w"], chunk.dampings)
        hidden = "w" if spec.problem.dimension > SHOWN_WEIGHTS else None
        shown = {name: column for name, column in rows.items() if name != hidden}
        yield Event("chunk", {"lane": lane, "first": first, "columns": shown})
        for part in probes:
            for k, w in enumerate(rows["w"], start=first):
                if k % part["every"] == 0 or (chunk.ended and k == last):
                    for answer in answers_in_run(part, spec, w, chunk.dampings[k - first]):
                        yield Event("probe", answer.event(lane=lane, step=k, name=part["name"]))
        yield Event("clock", {"lane": lane, "step": last, "seconds": program.seconds})


def replay(spec: RunSpec, lane: int, step: int) -> np.ndarray:
    """The flat weights (D,) of a lane at a step; LookupError where the lane has ended before."""
    return weights_at(spec, lane, step)


def parameters(spec: RunSpec, lane: int, step: int) -> dict[str, np.ndarray]:
    """The weights of a lane at a step as named arrays."""
    return {name: np.asarray(value) for name, value in spec.problem.parameters(replay(spec, lane, step)).items()}


@dataclass
class RunLane:
    """One lane of a finished run; its columns (``loss``, ``gradient_norm``, ``passes``, …) are attributes."""

    label: str
    optimizer: str
    knobs: dict[str, float]
    columns: dict[str, np.ndarray]
    w: np.ndarray  # (rows, D)
    status: str
    step: int
    reason: str
    coordinates: dict[str, Any] | None = None  # what the optimizer worked in, where that is not w

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass
class Run:
    """A finished run: its spec, all its events, and its lanes as arrays."""

    spec: RunSpec
    events: list[Event]
    lanes: list[RunLane]


def run(spec: dict[str, Any] | None = None, **fields: Any) -> Run:
    """Runs a spec, given as a dictionary or as keyword arguments, to its end.

    >>> run(problem={"name": "logistic-cost"}, start=[1.0, -1.0], optimizers=[{"name": "newton"}]).lanes[0].status
    'converged'
    """
    read = parse(dict(spec or {}, **fields))
    told = list(events(read))
    rows, end = rows_of(read), told[-1].data["lanes"]
    columns: list[dict[str, list]] = [{} for _ in read.lanes]
    for event in told:
        if event.kind == "chunk":
            for name, column in event.data["columns"].items():
                columns[event.data["lane"]].setdefault(name, []).append(column)
    lanes = [
        RunLane(
            **lane,
            columns={name: np.concatenate(parts) for name, parts in columns[i].items() if name != "w"},
            w=rows[i],
            status=end[i]["status"],
            step=end[i]["step"],
            reason=end[i]["reason"],
        )
        for i, lane in enumerate(read.lanes)
    ]
    return Run(read, told, lanes)
