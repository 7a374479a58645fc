r"""The weights of recent runs, row by row: what probes, parameters and the slice of a finished run are taken from.

Kept up to a number of bytes; a run that is no longer kept is computed again, which gives the same rows.
"""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from secondorder.core import Plane
from secondorder.program import Program
from secondorder.spec import RunSpec

REMEMBERED = 128 * 2**20  # bytes
PLANE_ROWS = 256  # rows of a lane that the principal directions are taken from


class Iterate(NamedTuple):
    """Where a lane stands: its weights (D,), and η of the step that comes next (NaN where there is none)."""

    w: np.ndarray
    damping: float


class Path:
    """The weights of one execution of a run, chunk by chunk of each lane."""

    def __init__(self, run: str):
        self.run, self.size, self.complete = run, 0, False
        self.chunks: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}

    def add(self, lane: int, w: np.ndarray, dampings: np.ndarray) -> int:
        """Takes the next rows of a lane, with the damping at each; their size in bytes."""
        # Copies: views would keep the rows of all the other lanes alive.
        chunk = np.array(w), np.array(dampings)
        self.chunks.setdefault(lane, []).append(chunk)
        size = sum(part.nbytes for part in chunk)
        self.size += size
        return size

    def at(self, lane: int, step: int) -> Iterate | None:
        """A lane at a step, None where it is not (yet)."""
        for w, dampings in self.chunks.get(lane, []):
            if step < len(w):
                return Iterate(w[step], float(dampings[step]))
            step -= len(w)
        return None

    def rows(self) -> dict[int, np.ndarray]:
        """All weights (rows, D) of each lane."""
        return {lane: np.concatenate([w for w, _ in chunks]) for lane, chunks in self.chunks.items()}


class Trajectories:
    """The paths of recent runs, least recently used ones dropped first.

    Of two executions of the same run the later one's path is kept; the other goes on filling a path that nobody reads.
    """

    def __init__(self, limit: int = REMEMBERED):
        self.limit, self.size = limit, 0
        self.kept: OrderedDict[str, Path] = OrderedDict()

    def begin(self, run: str) -> Path:
        if run in self.kept:
            self.drop(self.kept[run])
        path = self.kept[run] = Path(run)
        return path

    def add(self, path: Path, lane: int, w: np.ndarray, dampings: np.ndarray) -> None:
        if self.kept.get(path.run) is not path:
            return
        self.size += path.add(lane, w, dampings)
        while self.size > self.limit:
            self.drop(next(iter(self.kept.values())))

    def drop(self, path: Path) -> None:
        if self.kept.get(path.run) is path:
            del self.kept[path.run]
            self.size -= path.size

    def get(self, run: str) -> Path | None:
        path = self.kept.get(run)
        if path:
            self.kept.move_to_end(run)
        return path


recent = Trajectories()


def rows_of(spec: RunSpec) -> dict[int, np.ndarray]:
    """All weights (rows, D) of each lane of a run, remembered or computed again."""
    path = recent.get(spec.id)
    if path and path.complete:
        return path.rows()
    path = Path(spec.id)
    for group in spec.groups:
        program = Program(spec, group)
        while not program.done:
            for chunk in program.advance():
                path.add(group.first + chunk.lane, chunk.columns["w"], chunk.dampings)
    return path.rows()


def weights_at(spec: RunSpec, lane: int, step: int) -> np.ndarray:
    """The weights (D,) of a lane at a step; LookupError where there is no such step."""
    return iterate_at(spec, lane, step).w


def iterate_at(spec: RunSpec, lane: int, step: int) -> Iterate:
    """A lane at a step, remembered or computed again; LookupError where there is no such step."""
    if lane < 0 or step < 0:
        raise LookupError(f"there is no lane {lane}, step {step}")
    path = recent.get(spec.id)
    known = path.at(lane, step) if path else None
    if known is not None:
        return known
    group = next(g for g in reversed(spec.groups) if g.first <= lane)
    program = Program(spec, group)
    ended = False
    while not (program.done or ended):
        for chunk in program.advance():
            if group.first + chunk.lane != lane:
                continue
            w, ended = chunk.columns["w"], chunk.ended
            if chunk.first <= step < chunk.first + len(w):
                return Iterate(w[step - chunk.first], float(chunk.dampings[step - chunk.first]))
    raise LookupError(f"lane {lane} ends before step {step}")


class Slice(NamedTuple):
    """The plane of a run's first two principal directions, through the end of its first lane that did not diverge."""

    plane: Plane
    explained: list[float]  # share of the path's variance along each axis
    window: np.ndarray  # (2, 2): low and high of each axis, around all paths


_slices: OrderedDict[str, Slice] = OrderedDict()


def slice_of(spec: RunSpec) -> Slice:
    """The slice of weight space in which a finished run of more than two weights is drawn (Li et al. 2018, §7.2)."""
    if spec.id not in _slices:
        _slices[spec.id] = principal_slice(list(rows_of(spec).values()))
        while len(_slices) > 16:
            _slices.popitem(last=False)
    return _slices[spec.id]


def principal_slice(paths: list[np.ndarray]) -> Slice:
    """The plane of the first two principal directions of some paths, each (rows, D)."""
    calm = calm_ones(paths)
    some = [w[np.unique(np.linspace(0, len(w) - 1, PLANE_ROWS).astype(int))] for w in calm]
    origin = np.asarray(calm[0][-1], float)
    X = np.concatenate(some).astype(float) - origin
    _, size, axes = np.linalg.svd(X, full_matrices=False)
    # A path on a line has one direction only; some other axis completes the plane.
    axes = np.linalg.qr(np.concatenate([axes[:2], np.eye(2, len(origin))]).T)[0].T[:2]
    axes = np.ascontiguousarray(axes)
    axes *= np.where(axes[np.arange(2), np.argmax(np.abs(axes), axis=1)] < 0, -1, 1)[:, None]
    size = size / max(size[0], np.finfo(float).tiny)  # of a path that diverges even the squares overflow
    variance = size**2 / max(np.sum(size**2), np.finfo(float).tiny)
    explained = [float(share) for share in np.resize(variance, max(2, len(variance)))[:2]]
    return Slice(Plane(origin, axes), explained, window_around(X @ axes.T))


def calm_ones(paths: list[np.ndarray]) -> list[np.ndarray]:
    """The paths that do not run far away, next to which nothing else would be seen; all of them if none is left."""
    return [w for w in paths if np.ptp(w) < 1e6] or paths


def window_around(points: np.ndarray) -> np.ndarray:
    """Low and high (2, 2) along both axes, a quarter's margin around points (rows, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 0.1 * max(np.max(high - low), 1e-3))
    return np.stack([low - margin, high + margin], axis=1)
