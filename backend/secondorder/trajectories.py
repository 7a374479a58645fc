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


class Trajectories:
    """Rows of weights by run and lane, least recently used runs dropped first."""

    def __init__(self, limit: int = REMEMBERED):
        self.limit, self.size = limit, 0
        self.kept: OrderedDict[str, dict[int, list[np.ndarray]]] = OrderedDict()

    def begin(self, run: str) -> None:
        self.drop(run)
        self.kept[run] = {}

    def add(self, run: str, lane: int, w: np.ndarray) -> None:
        if run not in self.kept:
            return
        self.kept[run].setdefault(lane, []).append(w)
        self.size += w.nbytes
        while self.size > self.limit and self.kept:
            self.drop(next(iter(self.kept)))

    def drop(self, run: str) -> None:
        for chunks in self.kept.pop(run, {}).values():
            self.size -= sum(chunk.nbytes for chunk in chunks)

    def get(self, run: str) -> dict[int, np.ndarray] | None:
        if run not in self.kept:
            return None
        self.kept.move_to_end(run)
        return {lane: np.concatenate(chunks) for lane, chunks in self.kept[run].items()}


recent = Trajectories()


def rows_of(spec: RunSpec) -> dict[int, np.ndarray]:
    """All weights (rows, D) of each lane of a run, remembered or computed again."""
    kept = recent.get(spec.id)
    if kept is not None:
        return kept
    rows: dict[int, list[np.ndarray]] = {}
    for group in spec.groups:
        program = Program(spec, group)
        while not program.done:
            for chunk in program.advance():
                rows.setdefault(group.first + chunk.lane, []).append(chunk.columns["w"])
    return {lane: np.concatenate(chunks) for lane, chunks in rows.items()}


def weights_at(spec: RunSpec, lane: int, step: int) -> np.ndarray:
    """The weights (D,) of a lane at a step; LookupError where the lane has ended before."""
    kept = recent.get(spec.id)
    if kept is not None and lane in kept and step < len(kept[lane]):
        return kept[lane][step]
    group = next(g for g in reversed(spec.groups) if g.first <= lane)
    program = Program(spec, group)
    while not program.done and program.first <= step:
        for chunk in program.advance():
            w = chunk.columns["w"]
            if group.first + chunk.lane == lane and chunk.first <= step < chunk.first + len(w):
                return w[step - chunk.first]
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
    calm = [w for w in paths if np.ptp(w) < 1e6] or paths  # a diverging path would be all that is seen
    some = [w[np.unique(np.linspace(0, len(w) - 1, PLANE_ROWS).astype(int))] for w in calm]
    origin = np.asarray(calm[0][-1], float)
    X = np.concatenate(some).astype(float) - origin
    _, size, axes = np.linalg.svd(X, full_matrices=False)
    # A path on a line has one direction only; some other axis completes the plane.
    axes = np.linalg.qr(np.concatenate([axes[:2], np.eye(len(origin))[:2]]).T)[0].T[:2]
    axes *= np.where(axes[np.arange(2), np.argmax(np.abs(axes), axis=1)] < 0, -1, 1)[:, None]
    points = X @ axes.T
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 0.1 * max(np.max(high - low), 1e-3))
    variance = size**2 / max(np.sum(size**2), np.finfo(float).tiny)
    explained = [float(share) for share in np.resize(variance, max(2, len(variance)))[:2]]
    return Slice(Plane(origin, axes), explained, np.stack([low - margin, high + margin], axis=1))
