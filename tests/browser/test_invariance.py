"""Optimizers in two coordinates: the handles by pointer and keyboard, and numbers on the page that are the API's."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, query, table

VIEW = "invariance"
NAMES = ["newton", "gradient-descent"]
R = np.array([[1.0, 0.6], [0.0, 0.5]])
BASE = "problem=himmelblau&start=1,4&steps=12"
ADDRESS = f"/?{BASE}" + "".join(
    f"&optimizer={name}&optimizer={name}:coordinates.matrix=1,0.6,0,0.5" for name in NAMES
) + f"&views={VIEW}"  # fmt: skip

expect.set_options(timeout=30_000)


def twice(names: list[str], coordinates: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for name in names for entry in ({"name": name}, {"name": name, "coordinates": coordinates})]


def rows_of(page: Page, server: str, spec: dict[str, Any]) -> list[list[dict[str, float]]]:
    """The API's rows of each lane."""
    run = page.request.post(f"{server}/api/runs", data=spec).json()
    page.request.get(f"{server}{run['events']}").body()  # a finished run's whole stream
    rows = page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()
    return [[row for row in rows if row["lane"] == lane] for lane in range(len(run["lanes"]))]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def numbers(figure: Locator) -> list[list[str]]:
    """The rows beside the figure."""
    return figure.locator(".view-numbers tbody").evaluate(
        "body => [...body.rows].map(r => [...r.cells].map(c => c.innerText.trim()))"
    )


def matrix(page: Page) -> np.ndarray:
    """R as the address says it, the same for every twin."""
    told = [re.search(r"coordinates\.matrix=([^;]+)", entry) for entry in query(page)["optimizer"]]
    found = {each[1] for each in told if each}
    assert len(found) == 1
    return np.array([float(entry) for entry in found.pop().split(",")]).reshape(2, 2)


def agrees(page: Page, server: str, figure: Locator, changed: Callable[[np.ndarray], bool]) -> np.ndarray:
    """R, once it is what was wanted; the numbers and the paths are those of the API for it."""
    now = matrix(page)
    assert changed(now), now
    words = figure.locator(".invariance-map .view-readout").inner_text()
    found = re.search(r"R = \((.+?), (.+?); (.+?), (.+?)\): determinant (.+?), condition number (.+?)\.\s", words)
    assert found, words
    expected = [*now.ravel(), np.linalg.det(now), np.linalg.cond(now)]
    np.testing.assert_allclose([number(part) for part in found.groups()], expected, rtol=1e-3)

    spec = {"problem": {"name": "himmelblau"}, "start": [1, 4], "steps": 12,
            "optimizers": twice(NAMES, {"matrix": now.tolist()})}  # fmt: skip
    lanes = [np.array([[row["w0"], row["w1"]] for row in lane]) for lane in rows_of(page, server, spec)]
    drawn = np.array([[float(cell) for cell in row[2:4]] for row in table(figure.locator(".invariance-paths"))])
    np.testing.assert_allclose(drawn, np.concatenate(lanes), rtol=1e-9, atol=1e-9)
    for (own, other), row in zip((lanes[:2], lanes[2:]), numbers(figure), strict=True):
        n = min(len(own), len(other))
        apart = np.linalg.norm(own[:n] - other[:n], axis=1).max() / np.linalg.norm(own[:n], axis=1).max()
        assert number(row[2]) == pytest.approx(apart, rel=1e-3, abs=1e-15)
        assert int(row[3]) == n - 1
        assert row[1] == ("the same to rounding" if apart < 1e-9 else "differs")
    return now


def drawn_as_pairs(figure: Locator) -> None:
    """Every path is in the picture, the optimizers' own solid and their twins' dashed."""
    traces = figure.locator(".invariance-paths .plot-plotly").evaluate(
        "plot => plot.data.filter(t => t.name).map(t => [t.name, t.line.dash ?? 'solid', t.x.length])"
    )
    lines = [(name.partition(" ·")[0], dash) for name, dash, points in traces if points > 3]
    expected = [(name, dash) for name in ("Newton", "Gradient descent") for dash in ("dash", "solid")]
    assert sorted(lines) == sorted(expected)


def opened(page: Page, server: str, address: str = ADDRESS) -> Locator:
    page.goto(server + address)
    figure = page.locator(f"[data-view={VIEW}]")
    figure.scroll_into_view_if_needed()
    return figure


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_the_basis_vectors_are_dragged(
    page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    figure = opened(page, server)
    figure.locator(".invariance-paths summary").click()
    eventually(lambda: agrees(page, server, figure, lambda now: np.array_equal(now, R)), 90)
    assert [row[1] for row in numbers(figure)] == ["the same to rounding", "differs"]
    eventually(lambda: drawn_as_pairs(figure))
    page.screenshot(path=screenshots / f"{VIEW}-{request.node.callspec.id}.png", full_page=True)

    handle = figure.get_by_role("slider", name="Basis vector r1 of w̃")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 6):
        page.mouse.move(x - 8 * i, y - 8 * i)
    page.mouse.up()

    def dragged(now: np.ndarray) -> bool:
        return now[0, 0] < 0.9 and now[1, 0] > 0.1 and np.array_equal(now[:, 1], R[:, 1])

    eventually(lambda: agrees(page, server, figure, dragged))


def test_the_basis_vectors_obey_the_keyboard_and_presets(page: Page, server: str) -> None:
    figure = opened(page, server)
    figure.locator(".invariance-paths summary").click()
    eventually(lambda: agrees(page, server, figure, lambda now: np.array_equal(now, R)), 90)
    handle = figure.get_by_role("slider", name="Basis vector r2 of w̃")
    handle.press("ArrowUp")
    once = eventually(lambda: agrees(page, server, figure, lambda now: now[1, 1] > R[1, 1]))
    step = once[1, 1] - R[1, 1]
    np.testing.assert_allclose(once - R, [[0, 0], [0, step]], atol=1e-12)
    assert handle.get_attribute("aria-valuetext") == f"w0 = {once[0, 1]:g}, w1 = {once[1, 1]:g}"
    handle.press("Shift+ArrowLeft")
    twice = eventually(lambda: agrees(page, server, figure, lambda now: now[0, 1] < R[0, 1]))
    assert twice[0, 1] == pytest.approx(R[0, 1] - 10 * step, abs=step)
    handle.press("Home")
    eventually(lambda: agrees(page, server, figure, lambda now: np.array_equal(now, np.eye(2))))
    assert [row[1] for row in numbers(figure)] == ["the same to rounding"] * 2

    # A rotation keeps all lengths.
    figure.get_by_role("button", name="Rotate").click()
    eventually(lambda: agrees(page, server, figure, lambda now: now[1, 0] == 0.6))
    assert [row[1] for row in numbers(figure)] == ["the same to rounding"] * 2

    # Up to the scrubbed step: at the start both are where they begin.
    page.get_by_role("slider", name="Step", exact=True).fill("0")
    eventually(lambda: expect(figure).to_contain_text("Up to step 0."))
    assert [row[3] for row in numbers(figure)] == ["0", "0"]


def test_a_preset_pressed_right_after_a_key_stays(page: Page, server: str) -> None:
    """A move by keys is finished when none has followed for a while: not if something else has set R meanwhile."""
    figure = opened(page, server)
    rotate = figure.get_by_role("button", name="Rotate")
    expect(rotate).to_be_enabled()
    figure.get_by_role("slider", name="Basis vector r2 of w̃").press("ArrowUp")
    rotate.click()
    page.wait_for_timeout(800)
    np.testing.assert_array_equal(matrix(page), [[0.8, -0.6], [0.6, 0.8]])


def test_vectors_that_would_be_parallel_stay(page: Page, server: str) -> None:
    """There R has no inverse: the handle waits where it was, and goes on from there."""
    figure = opened(page, server, ADDRESS.replace("1,0.6,0,0.5", "1,1,0,0.1"))
    handle = figure.get_by_role("slider", name="Basis vector r2 of w̃")
    expect(handle).to_be_visible()
    for _ in range(20):
        handle.press("ArrowDown")
    eventually(lambda: expect(handle).to_have_attribute("aria-valuetext", re.compile("w1 = (?!0.1$)")))
    assert abs(np.linalg.det(matrix(page))) > 0
    expect(page.locator(".complaint:visible")).to_have_count(0)
    handle.press("Home")
    eventually(lambda: np.testing.assert_array_equal(matrix(page), np.eye(2)))


def test_twins_come_and_go_and_have_their_optimizers_values(page: Page, server: str) -> None:
    figure = opened(page, server, f"/?{BASE}&optimizer=gradient-descent&views={VIEW}")
    figure.get_by_role("button", name="Run each optimizer in other coordinates, too").click()
    eventually(lambda: matrix(page))
    rate = page.locator('.control[data-path="optimizers[0].rate"]').get_by_role("textbox")
    rate.fill("0.005")
    rate.press("Enter")

    def followed() -> None:
        own, other = query(page)["optimizer"]
        assert own == "gradient-descent:rate=0.005"
        assert other.startswith("gradient-descent:rate=0.005;coordinates.matrix=")

    eventually(followed)
    expect(page.locator('.control[data-path="optimizers[1].rate"]')).to_have_count(0)
    figure.get_by_role("button", name="Only in their own coordinates").click()
    eventually(lambda: expect(page.locator("table.lanes tbody tr")).to_have_count(1))
    assert query(page)["optimizer"] == ["gradient-descent:rate=0.005"]


def test_an_l2_penalty_is_left_out_by_the_twins(page: Page, server: str) -> None:
    """In other coordinates it would be another one."""
    problem = "logistic-regression:features=mean+radius,"
    figure = opened(page, server, f"/?problem={problem}&optimizer=gradient-descent&steps=5&views={VIEW}")
    expect(page.locator("table.lanes")).to_contain_text("all steps used")  # now it is known that there are two weights
    figure.get_by_role("button", name="(without the l2 penalty)").click()
    eventually(lambda: matrix(page))
    assert "l2=0" in query(page)["problem"][0]
    eventually(lambda: len(numbers(figure)) == 1)
    expect(page.locator(".complaint:visible")).to_have_count(0)


def test_a_networks_inputs_are_scaled_and_shifted(page: Page, server: str, screenshots: Path) -> None:
    inputs = "coordinates.inputs.scale=1;coordinates.inputs.shift=1"
    optimizers = f"optimizer=gradient-descent&optimizer=gradient-descent:{inputs}"
    figure = opened(page, server, f"/?problem=regression-network&{optimizers}&steps=8&views={VIEW}")

    def compared(scale: float, shift: float, step: int = 8) -> None:
        spec = {"problem": {"name": "regression-network"}, "steps": 8,
                "optimizers": twice(["gradient-descent"], {"inputs": {"scale": scale, "shift": shift}})}  # fmt: skip
        own, other = (np.array([row["loss"] for row in lane])[: step + 1] for lane in rows_of(page, server, spec))
        (row,) = numbers(figure)
        expected = [own[-1], other[-1], other[-1] / own[-1], np.max(np.abs(other - own) / own)]
        assert [number(cell) for cell in row[1:]] == pytest.approx(expected, rel=1e-3)

    eventually(lambda: compared(1, 1), 60)
    page.screenshot(path=screenshots / f"{VIEW}-network.png", full_page=True)
    scale = figure.locator(f'.control[data-path="{VIEW}.scale"]').get_by_role("textbox")
    scale.fill("2")
    scale.press("Enter")
    eventually(lambda: compared(2, 1))
    shift = figure.get_by_role("slider", name="shift of the inputs")
    shift.press("Home")
    eventually(lambda: compared(2, -10))
    assert query(page)["optimizer"][1].endswith("coordinates.inputs.scale=2;coordinates.inputs.shift=-10")
    page.get_by_role("slider", name="Step", exact=True).fill("3")
    eventually(lambda: compared(2, -10, 3))


def test_what_an_address_says_wrongly_is_left_out_and_told(page: Page, server: str) -> None:
    wrong = "gradient-descent:coordinates.matrix=1,2,3"
    other = "gradient-descent:coordinates.matrix=1,0,0,0,1,0,0,0,1"
    page.goto(f"{server}/?{BASE}&optimizer={wrong}&optimizer={other}&views={VIEW}")
    messages = page.locator("#messages")
    expect(messages).to_contain_text("coordinates.matrix: it has no row and column for each weight and was left out")
    expect(messages).to_contain_text("Himmelblau has 2 weights, not 3; it was left out")
    expect(page.locator("table.lanes tbody tr")).to_have_text([re.compile("^Gradient descent *all steps used")] * 2)


def test_it_is_for_two_weights_or_a_networks_inputs(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=quadratic:size=3&optimizer=gradient-descent&steps=2&views=curves,{VIEW}")
    expect(page.locator("[data-view=curves]")).to_be_visible()
    expect(page.locator(f"[data-view={VIEW}]")).to_have_count(0)
