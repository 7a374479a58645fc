"""The view of proximal updates: a point is dragged, or moved by keys alone, and the page has the API's numbers."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, opened, table

SPEC: dict[str, Any] = {
    "problem": {"name": "regression-network"},
    "optimizers": [{"name": "gauss-newton", "adapt": "levenberg-marquardt"}],
    "steps": 12,
}
ADDRESS = (
    "/?problem=regression-network&optimizer=gauss-newton:adapt=levenberg-marquardt&steps=12&views=proximal-fit&at=8"
)
NUMBERS = ["loss", "forgotten", "step_norm", "held_out"]

expect.set_options(timeout=20_000)


def told(page: Page, server: str, step: int = 8, **fields: float) -> dict[str, Any]:
    """What the API answers."""
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    body = {"run": run["id"], "lane": 0, "step": step, "probe": {"name": "proximal-fit", **fields}}
    return page.request.post(f"{server}/api/probes", data=body).json()["data"]


def shown(figure: Locator) -> Locator:
    """The view in sight, once it is drawn."""
    expect(figure.locator(".proximal-numbers tbody tr")).to_have_count(7, timeout=60_000)
    return figure


def written(text: str) -> float:
    return float(text.replace("−", "-"))


def agrees(figure: Locator, data: dict[str, Any]) -> None:
    """The numbers beside the curves, and the curves of the data table, are the answer's."""
    rows = figure.locator(".proximal-numbers tbody").evaluate(
        "body => [...body.rows].map(r => [...r.cells].slice(2).map(c => c.innerText))"
    )
    parts = [data["before"], *(update[kind] for update in data["updates"] for kind in ("exact", "quadratic"))]
    for row, part in zip(rows, parts, strict=True):
        assert [written(cell) for cell in row] == [float(f"{part[name]:.4g}") for name in NUMBERS]
    drawn = [[float(number) for number in row[2:]] for row in table(figure)]
    curves = [data["before"], *(update["exact"] for update in data["updates"])]
    assert drawn == [list(point) for part in curves for point in zip(data["x"], part["curve"], strict=True)]


def place(handle: Locator) -> list[float]:
    """x and t, as the handle tells them."""
    text = handle.get_attribute("aria-valuetext") or ""
    return [written(part.split(" = ")[1]) for part in text.split(", ")]


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_a_point_is_dragged(page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest) -> None:
    figure = shown(opened(page, server + ADDRESS, "proximal-fit"))
    eventually(lambda: agrees(figure, told(page, server)), 60)
    handle = figure.get_by_role("slider", name="Point 1 of the batch")
    before = place(handle)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y - 40, steps=8)
    page.mouse.up()
    after = place(handle)
    assert after[0] > before[0]
    assert after[1] > before[1]
    eventually(lambda: agrees(figure, told(page, server, x1=after[0], t1=after[1])))
    page.screenshot(path=screenshots / f"proximal-fit-{request.node.callspec.id}.png", full_page=True)


def test_the_keyboard_alone_moves_points_and_weights(page: Page, server: str) -> None:
    figure = shown(opened(page, server + ADDRESS, "proximal-fit"))
    figure.get_by_role("combobox", name="Points").select_option("2")
    handle = figure.get_by_role("slider", name="Point 2 of the batch")
    expect(handle).to_be_visible()
    expect(figure.get_by_role("slider", name="Point 3 of the batch")).to_be_hidden()
    before = place(handle)
    handle.focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    eventually(lambda: expect(handle).to_be_focused())

    def moved() -> list[float]:
        at = place(handle)
        assert at[0] > before[0]
        assert at[1] < before[1]
        return at

    x, t = eventually(moved)
    eventually(lambda: agrees(figure, told(page, server, points=2, x2=x, t2=t)))
    weight = figure.locator('.control[data-path="proximal-fit.fsd"]')
    weight.get_by_role("slider").press("PageUp")
    fsd = float(weight.get_by_role("textbox").input_value())
    assert fsd == 10
    eventually(lambda: agrees(figure, told(page, server, points=2, x2=x, t2=t, fsd=fsd)))
    page.get_by_role("slider", name="Step", exact=True).fill("3")
    eventually(lambda: agrees(figure, told(page, server, 3, points=2, x2=x, t2=t, fsd=fsd)))
    expect(figure.locator(".view-readout")).to_contain_text("step 3, and one update for 2 points")


def test_updates_can_be_taken_away_and_their_quadratic_versions_added(page: Page, server: str) -> None:
    figure = shown(opened(page, server + ADDRESS, "proximal-fit"))

    def curves() -> set[tuple[str, str]]:
        return {(row[0], row[1]) for row in table(figure)}

    before = {("previous iterate", ""), ("loss + WSD", "exact"), ("loss + FSD", "exact"), ("loss + WSD + FSD", "exact")}
    eventually(lambda: expect_equal(curves(), before))
    figure.get_by_role("checkbox", name="loss + FSD", exact=True).press("Space")
    figure.get_by_role("checkbox", name="quadratic terms", exact=True).press("Space")
    after = (before - {("loss + FSD", "exact")}) | {("loss + WSD", "quadratic"), ("loss + WSD + FSD", "quadratic")}
    eventually(lambda: expect_equal(curves(), after))


def expect_equal(found: Any, expected: Any) -> None:
    assert found == expected


def test_it_is_for_a_curve(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=rosenbrock&optimizer=newton")
    expect(page.locator("[data-view=landscape]")).to_be_visible()
    expect(page.locator("[data-view=proximal-fit]")).to_have_count(0)
