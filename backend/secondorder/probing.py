r"""Asks a probe: puts the point together that it is asked at, runs it compiled, and tells its answer as JSON."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from secondorder.core import Data, Objective, Plane, Point, Probe, Problem
from secondorder.program import canonical, in_precision, load, step_key
from secondorder.spec import ProbeRequest, RunSpec, build, probe_class
from secondorder.trajectories import calm_ones, iterate_at, rows_of, slice_of, window_around

MARGIN = 2.0  # around a point that is asked for alone, where the problem tells no window


@jax.jit
def _measure(probe: Probe, problem: Problem, data: Data, seed: Any, point: Point):
    probe, problem = in_precision(problem.dtype, probe, problem)
    return probe.measure(Objective(problem, data.train, 0, step_key(seed, 0)), point._replace(held_out=data.test))


class Answer(NamedTuple):
    """What a probe tells: all of it, or in a question of several stages what is known so far."""

    data: dict[str, Any]
    whole: bool

    def event(self, **asked: Any) -> dict[str, Any]:
        """What was asked, with the answer; one that is not yet whole says so."""
        return {**asked, "data": self.data} | ({} if self.whole else {"partial": True})


def probe(request: ProbeRequest) -> dict[str, Any]:
    """The whole answer to a request."""
    *_, answer = answers(request)
    return answer.data


def answers(request: ProbeRequest) -> Iterator[Answer]:
    """The answers to a request, at weights of a problem or at a step of a run's lane, one after each stage."""
    if request.spec is None:
        return _ask(request.probe, request.problem, request.seed, np.asarray(request.at))
    return answers_in_run(request.probe, request.spec, *iterate_at(request.spec, request.lane, request.step))


def answers_in_run(part: dict[str, Any], spec: RunSpec, w: np.ndarray, damping: float) -> Iterator[Answer]:
    """One probe's answers at weights of a run; of more than two weights planes are the run's slice."""
    cls, problem = probe_class(part), spec.problem
    if not cls.in_a_plane:
        yield from _ask(part, problem, spec.seed, w, damping)
        return
    paths = rows_of(spec) if cls.of_the_whole_run else None
    if problem.dimension <= 2:
        window = None
        if paths and problem.window is None:
            window = window_around(np.concatenate(calm_ones(list(paths.values()))))
        plane, also = flat_plane(2), {}
    else:
        seen = slice_of(spec)
        plane, window = seen.plane, seen.window
        told = {"origin": plane.origin, "axes": plane.axes}
        also = {"slice": True, "plane": told, "explained": seen.explained}
    also |= _told_paths(paths, plane)
    for answer in _ask(part, problem, spec.seed, w, damping, plane, window):
        yield answer._replace(data=answer.data | also)


def _told_paths(paths: dict[int, np.ndarray] | None, plane: Plane) -> dict[str, Any]:
    if paths is None:
        return {}
    return {"paths": [np.ascontiguousarray(plane.project(paths[lane])) for lane in sorted(paths)]}


def flat_plane(n: int) -> Plane:
    """The plane of a problem with two weights: the weights themselves."""
    return Plane(np.zeros(n), np.eye(2, n))


def _ask(
    part: dict[str, Any],
    problem: Problem,
    seed: int,
    w: np.ndarray,
    damping: float = np.nan,
    plane: Plane | None = None,
    window: np.ndarray | None = None,
) -> Iterator[Answer]:
    """One probe's answers at the weights w, NaN where something is not defined."""
    cls = probe_class(part)
    fields = {name: value for name, value in part.items() if name not in ("name", "every", "damping", "window")}
    if part.get("damping") is not None:
        damping = part["damping"]
    if part.get("window"):
        window = np.asarray(part["window"], float)
    if window is None:
        window = np.zeros((2, 2))
        if cls.in_a_plane and problem.dimension == 2:
            low, high = np.transpose(problem.window or np.stack([w - MARGIN, w + MARGIN], axis=1))
            window = np.stack([np.minimum(low, w), np.maximum(high, w)], axis=1)
    point = Point(
        w=np.asarray(w, problem.dtype),
        plane=plane or flat_plane(problem.dimension),
        window=window,
        damping=np.float64(damping),
    )
    drawn = {"slice": False, "plane": None, "explained": None} if cls.in_a_plane else {}
    asked = canonical(build(cls, fields).for_problem(problem))
    data, parts = load(problem, seed), []
    for stage in range(asked.stages):
        here = point._replace(stage=np.int64(stage))
        parts.append(jax.device_get(_measure(asked, canonical(problem), data, np.uint32(seed), here)))
        found = parts[0]
        if asked.stages > 1:
            found = {name: np.stack([part[name] for part in parts]) for name in found}
        # Numbers as numbers, not as arrays without a dimension.
        found = {name: value[()] for name, value in found.items()}
        yield Answer(drawn | asked.tell(found), whole=stage == asked.stages - 1)
