"""What is remembered of runs: bounded, true, and computed again when it is gone; and the slice of a finished run."""

import itertools

import numpy as np
import pytest

import secondorder as so
from secondorder import trajectories
from secondorder.run import events
from secondorder.spec import parse
from secondorder.trajectories import Trajectories, principal_slice, recent, rows_of, slice_of, weights_at

ROSENBROCK, QUADRATIC = {"name": "rosenbrock"}, {"name": "quadratic"}
GD = {"name": "gradient-descent"}
RNG = np.random.default_rng(11)
NO_DAMPINGS = np.zeros(0)  # takes no bytes


def alive(memory: Trajectories) -> int:
    """Bytes that the remembered arrays keep alive: a view keeps all of the array that it looks into."""
    owners = {}
    for path in memory.kept.values():
        for chunks in path.chunks.values():
            for array in itertools.chain(*chunks):
                while isinstance(array.base, np.ndarray):
                    array = array.base
                owners[id(array)] = array.nbytes
    return sum(owners.values())


@pytest.fixture
def memory():
    """A memory of a thousand bytes in place of the process's own."""
    return Trajectories(limit=1000)


def remember(memory: Trajectories, run: str, *sizes: int) -> None:
    path = memory.begin(run)
    for lane, size in enumerate(sizes):
        memory.add(path, lane, np.zeros((size // 8, 1)), NO_DAMPINGS)
    path.complete = True


def test_the_least_recently_used_run_is_forgotten_first(memory):
    for run in ("a", "b", "c"):
        remember(memory, run, 160, 160)
    assert memory.size == 960
    assert memory.get("a")
    remember(memory, "d", 320)
    assert list(memory.kept) == ["c", "a", "d"], "b was asked for least recently"
    assert memory.size == 960


def test_a_run_that_does_not_fit_is_not_remembered_in_part(memory):
    path = memory.begin("long")
    for _ in range(20):
        memory.add(path, 0, np.zeros((10, 1)), NO_DAMPINGS)
    assert memory.get("long") is None
    assert (memory.size, len(memory.kept)) == (0, 0)


def test_a_run_begun_anew_replaces_what_was_remembered(memory):
    remember(memory, "a", 160)
    remember(memory, "a", 80, 80)
    assert memory.size == 160
    assert {lane: rows.shape for lane, rows in memory.get("a").rows().items()} == {0: (10, 1), 1: (10, 1)}


def test_only_the_newest_path_of_a_run_can_be_dropped_or_filled(memory):
    old = memory.begin("a")
    memory.add(old, 0, np.zeros((10, 1)), NO_DAMPINGS)
    new = memory.begin("a")
    memory.add(old, 0, np.ones((10, 1)), NO_DAMPINGS)
    memory.add(new, 0, np.full((5, 1), 2.0), NO_DAMPINGS)
    memory.drop(old)
    assert memory.get("a") is new
    assert new.rows()[0].tolist() == [[2.0]] * 5
    assert memory.size == 40
    memory.drop(new)
    assert (memory.get("a"), memory.size) == (None, 0)


def test_weights_at_a_step_across_chunks(memory):
    path = memory.begin("a")
    rows = RNG.standard_normal((9, 2))
    for part in np.split(rows, [2, 5]):
        memory.add(path, 3, part, 10 * part[:, 0])
    for step, w in enumerate(rows):
        there = path.at(3, step)
        assert there.w.tolist() == w.tolist()
        assert there.damping == 10 * w[0]
    assert path.at(3, 9) is None
    assert path.at(0, 0) is None


def test_what_is_counted_is_what_is_kept_alive():
    """Lanes of a sweep that end early must not be kept for the sake of the one that goes on."""
    run = so.run(problem=QUADRATIC, optimizers=[GD | {"rate": [50.0] * 31 + [1e-3]}], steps=3000, tolerance=0)
    assert [lane.status for lane in run.lanes] == ["diverged"] * 31 + ["budget"]
    assert alive(recent) <= recent.size * 1.01
    assert recent.size <= recent.limit


@pytest.mark.parametrize("limit", [0, 10**9], ids=["forgotten", "remembered"])
def test_rows_are_the_same_remembered_or_computed_again(limit, monkeypatch):
    spec = parse(
        {
            "problem": ROSENBROCK,
            "optimizers": [{"name": "newton"}, GD | {"rate": [1e-3, 1e-4, 100.0]}],
            "steps": 150,
        }
    )
    run = so.run(spec.canonical())
    monkeypatch.setattr(trajectories, "recent", Trajectories(limit))
    for _ in events(spec) if limit else ():
        pass
    rows = rows_of(spec)
    assert sorted(rows) == [0, 1, 2, 3]
    for number, lane in enumerate(run.lanes):
        assert rows[number].tolist() == lane.w.tolist()
        assert weights_at(spec, number, lane.step).tolist() == lane.w[-1].tolist()
        with pytest.raises(LookupError, match=f"lane {number} ends before step {lane.step + 1}"):
            weights_at(spec, number, lane.step + 1)


def test_half_a_run_is_never_taken_for_the_whole():
    """While a run is under way its rows, and a slice through them, are still those of the whole run."""
    spec = parse({"problem": QUADRATIC | {"size": 3}, "optimizers": [GD], "steps": 77, "tolerance": 0})
    running = events(spec)
    for _ in range(3):
        next(running)
    assert rows_of(spec)[0].shape == (78, 3)
    assert weights_at(spec, 0, 1).shape == (3,)
    assert weights_at(spec, 0, 77).tolist() == rows_of(spec)[0][77].tolist()
    early = slice_of(spec)
    rest = list(running)
    assert rest[-1].kind == "end"
    np.testing.assert_array_equal(early.window, principal_slice(list(rows_of(spec).values())).window)


# --- the slice --------------------------------------------------------------------------------------------------------


def in_a_plane(rows: int = 40, n: int = 6, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A path that ends at a point, three times as long along a first direction as along a second; and the plane."""
    axes = np.linalg.qr(RNG.standard_normal((n, 2)))[0].T
    t = np.linspace(1, 0, rows)
    path = 5.0 + np.outer(3 * t**2, axes[0]) + np.outer(np.sin(np.pi * t), axes[1])
    return path + noise * RNG.standard_normal(path.shape), axes


def check_slice(found) -> None:
    np.testing.assert_allclose(found.plane.axes @ found.plane.axes.T, np.eye(2), atol=1e-12)
    assert len(found.explained) == 2
    assert 0 <= found.explained[1] <= found.explained[0] <= 1 + 1e-12
    assert sum(found.explained) <= 1 + 1e-12
    assert np.isfinite(found.window).all()
    assert (found.window[:, 0] < found.window[:, 1]).all()


def test_a_path_in_a_plane_is_its_own_projection():
    path, axes = in_a_plane()
    found = principal_slice([path])
    check_slice(found)
    np.testing.assert_allclose(found.plane.origin, path[-1])
    np.testing.assert_allclose(found.plane.lift(found.plane.project(path)), path, atol=1e-12)
    # The two span the same plane.
    assert np.linalg.norm(axes @ found.plane.axes.T @ found.plane.axes - axes) < 1e-12
    assert sum(found.explained) == pytest.approx(1, abs=1e-12)


def test_axes_and_shares_are_the_principal_ones_about_the_end():
    """Against the eigenvectors of Σ (w - w_end)(w - w_end)ᵀ (Li et al. 2018, §7.2)."""
    path, _ = in_a_plane(noise=0.1)
    found = principal_slice([path])
    check_slice(found)
    X = path - path[-1]
    ν, Q = np.linalg.eigh(X.T @ X)
    np.testing.assert_allclose(np.abs(np.sum(found.plane.axes * Q.T[[-1, -2]], axis=1)), 1, atol=1e-9)
    np.testing.assert_allclose(found.explained, ν[[-1, -2]] / ν.sum(), rtol=1e-9)


def test_the_signs_of_the_axes_follow_from_the_path():
    path, _ = in_a_plane()
    one, other = principal_slice([path]).plane.axes, principal_slice([path + 1e-9]).plane.axes
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert all(axis[np.argmax(np.abs(axis))] > 0 for axis in one)


def test_the_window_holds_all_calm_paths():
    paths = [in_a_plane(noise=0.05)[0] for _ in range(3)]
    found = principal_slice(paths)
    check_slice(found)
    for path in paths:
        points = found.plane.project(path)
        assert (points > found.window[:, 0]).all()
        assert (points < found.window[:, 1]).all()


def test_a_diverging_path_does_not_take_the_window():
    path, _ = in_a_plane()
    wild = path[-1] + np.outer(10.0 ** np.arange(0, 300, 10), np.ones(6))
    calm, both = principal_slice([path]), principal_slice([wild, path])
    np.testing.assert_array_equal(both.window, calm.window)
    np.testing.assert_array_equal(both.plane.origin, calm.plane.origin)


WILD = np.outer(10.0 ** np.arange(0, 300, 10), [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "paths",
    [
        [np.ones((1, 5))],
        [np.ones((7, 3))],
        [np.outer(np.linspace(0, 1, 9), [1.0, 2.0, 3.0])],
        [np.outer([0.0, 1.0], [0.0, 0.0, 1.0, 0.0])],
        [np.outer(np.linspace(0, 1, 9), [1.0, 0.0, 0.0]), np.ones((1, 3))],
        [WILD],
        [WILD, -WILD[:20, ::-1]],
    ],
    ids=["one row", "no movement", "a line", "one step", "a line and a point", "divergence", "divergence twice"],
)
def test_paths_that_span_no_plane(paths):
    found = principal_slice(paths)
    check_slice(found)
    for path in paths:
        if np.ptp(path) < 1e6:
            np.testing.assert_allclose(found.plane.lift(found.plane.project(path)), path, atol=1e-9)


def test_the_slice_of_a_run_is_that_of_its_lanes():
    run = so.run(problem=QUADRATIC | {"size": 3}, optimizers=[GD, GD | {"rate": 0.3}], steps=30)
    found, expected = slice_of(run.spec), principal_slice([lane.w for lane in run.lanes])
    np.testing.assert_array_equal(found.plane.axes, expected.plane.axes)
    np.testing.assert_array_equal(found.window, expected.window)
    assert found.explained == expected.explained
