"""The landscape is J at every point of its grid, in the weights or in the run's slice."""

import numpy as np

import secondorder as so
from tests.probes import asking
from tests.probes.formulas import breast_cancer, himmelblau


def test_values_are_the_cost_at_the_grid_rows_along_y():
    told = asking.at({"name": "himmelblau"}, [1.0, 2.0], name="landscape", resolution=7, window=[[-1, 4], [0, 3]])
    np.testing.assert_allclose(told["x"], np.linspace(-1, 4, 7), rtol=1e-15)
    np.testing.assert_allclose(told["y"], np.linspace(0, 3, 7), rtol=1e-15)
    expected = [[himmelblau([x, y])[0] for x in told["x"]] for y in told["y"]]
    np.testing.assert_allclose(told["loss"], expected, rtol=1e-13)
    assert told["slice"] is False
    assert told["plane"] is None


def test_the_problems_window_is_widened_to_the_point_it_is_asked_at():
    told = asking.at({"name": "himmelblau"}, [9.0, 2.0], name="landscape", resolution=7)
    assert (told["x"][0], told["x"][-1]) == (-5.5, 9.0)
    assert (told["y"][0], told["y"][-1]) == (-5.5, 5.5)


def test_of_a_run_it_comes_with_every_lanes_path():
    run = so.run(
        problem={"name": "himmelblau"},
        optimizers=[{"name": "newton"}, {"name": "gradient-descent", "rate": [0.005, 0.01]}],
        probes=[{"name": "landscape", "resolution": 7}],
    )
    (event,) = [event for event in run.events if event.kind == "probe"]
    told = event.data["data"]
    assert len(told["paths"]) == 3
    for path, lane in zip(told["paths"], run.lanes, strict=True):
        np.testing.assert_array_equal(path, lane.w)
    assert np.shape(told["loss"]) == (7, 7)


def test_in_a_slice_values_are_the_cost_at_the_lifted_points(sliced):
    told = asking.of(sliced, 0, 3, name="landscape", resolution=9)
    assert told["slice"] is True
    origin, axes = np.array(told["plane"]["origin"]), np.array(told["plane"]["axes"])
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    expected = [[breast_cancer(origin + a * axes[0] + b * axes[1])[0] for a in told["x"]] for b in told["y"]]
    np.testing.assert_allclose(told["loss"], expected, rtol=1e-12)
    for path, lane in zip(told["paths"], sliced.lanes, strict=True):
        np.testing.assert_allclose(path, (lane.w - origin) @ axes.T, atol=1e-12)
        assert told["x"][0] <= path[:, 0].min() <= path[:, 0].max() <= told["x"][-1]
        assert told["y"][0] <= path[:, 1].min() <= path[:, 1].max() <= told["y"][-1]
