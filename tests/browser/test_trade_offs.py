"""The trade-offs between computation and data: costs and break-evens on the page are those of the run's rows."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, table

N = 1797
PROBLEM = {"name": "digits-classifier", "widths": [64, 10], "batch": 16}
REPEATED = {"name": "proximal", "loss": "exact", "distance": "none", "solver": "gradient", "wsd": 0}
SPEC: dict[str, Any] = {
    "problem": PROBLEM,
    "optimizers": [{"name": "gradient-descent", "rate": 0.5}, REPEATED | {"rate": 0.5, "iterations": [4, 16]}],
    "steps": 120,
}
ADDRESS = (
    "/?problem=digits-classifier:widths=64,10;batch=16&optimizer=gradient-descent:rate=0.5"
    "&optimizer=proximal:loss=exact;distance=none;solver=gradient;wsd=0;rate=0.5;iterations=4,16&steps=120"
    "&views=trade-offs,curves"
)

expect.set_options(timeout=30_000)


@pytest.fixture
def lanes(page: Page, server: str) -> list[dict[str, np.ndarray]]:
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    page.request.get(f"{server}{run['events']}").body()  # a finished run's whole stream
    rows = page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()
    columns = ("loss", "passes", "examples")
    return [{c: np.array([row[c] for row in rows if row["lane"] == lane]) for c in columns} for lane in range(3)]


def opened(page: Page, server: str, address: str = ADDRESS) -> Locator:
    page.goto(server + address)
    figure = page.locator("[data-view=trade-offs]")
    expect(figure.locator(".view-numbers tbody tr")).to_have_count(3, timeout=60_000)
    figure.scroll_into_view_if_needed()
    figure.locator("summary", has_text="Data table").click()
    return figure


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def numbers(figure: Locator) -> list[list[str]]:
    return figure.locator(".view-numbers tbody").evaluate(
        "body => [...body.rows].map(r => [...r.cells].slice(1).map(c => c.innerText))"
    )


def told(figure: Locator, label: str) -> float:
    """What the number beside a slider says."""
    return float(figure.get_by_label(f"{label}, as a number").input_value())


PRICE, TARGET = "price of reading an epoch, in passes", "target loss"


def agrees(figure: Locator, lanes: list[dict[str, np.ndarray]], target: float, r: float) -> list[float]:
    """The numbers beside the lanes, and at which prices another one becomes the cheapest: these are handed back."""
    first = [int(np.argmax(lane["loss"] <= target)) for lane in lanes]
    passes = np.array([lane["passes"][k] for lane, k in zip(lanes, first, strict=True)])
    epochs = np.array([lane["examples"][k] / N for lane, k in zip(lanes, first, strict=True)])
    cost = passes + r * epochs
    shown = numbers(figure)
    for i, (spent, ratio, step, examples, computed, seconds) in enumerate(shown):
        assert (int(step), int(examples)) == (first[i], lanes[i]["examples"][first[i]])
        assert number(computed) == pytest.approx(passes[i], rel=1e-3)
        assert number(spent) == pytest.approx(cost[i], rel=1e-3)
        assert number(ratio) == pytest.approx(cost[i] / cost.min(), rel=1e-2)
        assert number(seconds) > 0
    # Where any two cross and the cheapest is another one on both sides.
    crossings = [-(passes[i] - passes[j]) / (epochs[i] - epochs[j]) for i, j in combinations(range(3), 2)]
    changes = []
    for x in sorted(crossings):
        before, after = (passes + x * (1 + side) * epochs for side in (-1e-9, 1e-9))
        if x > 0 and before.argmin() != after.argmin():
            changes.append(x)
    words = figure.locator(".view-readout").first.inner_text()
    said = [number(text) for text in re.findall(r"up to r = ([\d.e−]+?)(?:,|\.$)", words)]
    assert said == pytest.approx(changes, rel=1e-3)
    cheapest = figure.locator(".view-numbers tr.best th").inner_text()
    assert figure.locator(".view-numbers tbody th").nth(int(cost.argmin())).inner_text() == cheapest
    assert f"is {cheapest}: " in words
    return changes


def drawn(figure: Locator, lanes: list[dict[str, np.ndarray]], xs: list[np.ndarray]) -> None:
    expected = [[step, x, loss] for lane, row in zip(lanes, xs, strict=True)
                for step, (x, loss) in enumerate(zip(row, lane["loss"], strict=True))]  # fmt: skip
    found = np.array([[float(cell) for cell in row[1:]] for row in table(figure)])
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def weighted(lanes: list[dict[str, np.ndarray]], r: float) -> list[np.ndarray]:
    return [lane["passes"] + r * lane["examples"] / N for lane in lanes]


def test_r_moves_the_costs_and_starts_no_run(page: Page, server: str, lanes: Any, screenshots: Path) -> None:
    runs: list[str] = []
    page.on("request", lambda request: runs.append(request.url) if "/api/runs" in request.url else None)
    figure = opened(page, server)
    common = max(lane["loss"].min() for lane in lanes)
    assert len(eventually(lambda: agrees(figure, lanes, common, 0))) == 2, "each of the three is cheapest somewhere"
    eventually(lambda: drawn(figure, lanes, weighted(lanes, 0)))
    assert told(figure, TARGET) == pytest.approx(common, rel=1e-3)
    known = len(runs)

    slider = figure.get_by_role("slider", name=PRICE)
    slider.press("PageUp")
    slider.press("ArrowRight")
    by_key = told(figure, PRICE)
    assert by_key > 0
    eventually(lambda: agrees(figure, lanes, common, by_key))
    eventually(lambda: drawn(figure, lanes, weighted(lanes, by_key)))

    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.5, 0.7, 0.9):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        by_pointer = told(figure, PRICE)
        assert by_pointer > by_key
        eventually(lambda by_pointer=by_pointer: agrees(figure, lanes, common, by_pointer))
    page.mouse.up()
    eventually(lambda: drawn(figure, lanes, weighted(lanes, told(figure, PRICE))))
    assert len(runs) == known
    page.screenshot(path=screenshots / "trade-offs.png")


@pytest.mark.parametrize("page", [{"viewport": PHONE, "color_scheme": "dark"}], indirect=True)
def test_the_target_is_typed_dragged_and_given_back(page: Page, server: str, lanes: Any, screenshots: Path) -> None:
    figure = opened(page, server)
    common = max(lane["loss"].min() for lane in lanes)
    rule = figure.get_by_label("the lowest loss that all lanes reach")
    eventually(lambda: agrees(figure, lanes, common, 0))
    typed = figure.get_by_label(f"{TARGET}, as a number")
    typed.fill("0.9")
    typed.press("Enter")
    expect(rule).not_to_be_checked()
    eventually(lambda: agrees(figure, lanes, 0.9, 0))

    handle = figure.locator(".target-handle")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 25, steps=5)
    eventually(lambda: agrees(figure, lanes, told(figure, TARGET), 0))
    page.mouse.up()
    assert 0.9 < told(figure, TARGET) < lanes[0]["loss"][0]
    page.screenshot(path=screenshots / "trade-offs-phone.png")

    typed.fill(str(common / 2))
    typed.press("Enter")
    missed = [i for i, lane in enumerate(lanes) if lane["loss"].min() > common / 2]
    assert missed
    eventually(lambda: expect(figure.locator("tbody td", has_text="not reached")).to_have_count(len(missed)))
    rule.check()
    eventually(lambda: agrees(figure, lanes, common, 0))


def test_the_axis_is_chosen(page: Page, server: str, lanes: Any) -> None:
    figure = opened(page, server)
    axis = figure.get_by_role("combobox", name="Against")
    axis.select_option("epochs")
    eventually(lambda: drawn(figure, lanes, [lane["examples"] / N for lane in lanes]))
    axis.select_option("passes")
    eventually(lambda: drawn(figure, lanes, [lane["passes"] for lane in lanes]))
    axis.select_option("seconds")

    def grows() -> None:
        assert figure.locator(".plot-table th").nth(2).inner_text() == "seconds of compute"
        rows = table(figure)
        for label in {row[0] for row in rows}:
            seconds = [float(row[2]) for row in rows if row[0] == label]
            assert seconds == sorted(seconds)
            assert seconds[-1] > 0

    eventually(grows)
    # On a log axis the start, which cost nothing, has no place.
    axis.select_option("passes")
    figure.get_by_label("log cost").check()
    eventually(lambda: drawn_from_one(figure, lanes))
    curves = page.locator("[data-view=curves]")
    page.get_by_label("Curves over").select_option("examples")
    curves.locator("summary", has_text="Data table").click()
    eventually(lambda: drawn(curves, lanes, [lane["examples"] for lane in lanes]))


def drawn_from_one(figure: Locator, lanes: list[dict[str, np.ndarray]]) -> None:
    steps = [int(row[1]) for row in table(figure)]
    assert steps == [step for lane in lanes for step in range(1, len(lane["loss"]))]


def test_one_lane_has_nothing_to_be_compared_with(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=quadratic&optimizer=gradient-descent&steps=3")
    expect(page.locator("[data-view=curves]")).to_be_visible()
    expect(page.locator("[data-view=trade-offs]")).to_have_count(0)
    chip = page.locator("#chooser label", has_text="Compute trade-offs")
    expect(chip.get_by_role("checkbox")).to_be_disabled()
    expect(chip).to_contain_text("add an optimizer")
