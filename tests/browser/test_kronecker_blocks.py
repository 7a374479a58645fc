"""The views of blocks and of sizes: what they tell is what the API says, for the step, layer and damping shown."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, table

SPEC: dict[str, Any] = {
    "problem": {"name": "regression-network"},
    "optimizers": [{"name": "gauss-newton", "damping": [0.05, 2]}],
    "steps": 6,
}
ADDRESS = "/?problem=regression-network&optimizer=gauss-newton:damping=0.05,2&steps=6&at=3&views="

expect.set_options(timeout=30_000)


def told(page: Page, server: str, probe: dict[str, Any], lane: int = 0, step: int = 3) -> dict[str, Any]:
    """What the API answers."""
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    body = {"run": run["id"], "lane": lane, "step": step, "probe": probe}
    return page.request.post(f"{server}/api/probes", data=body).json()["data"]


def blocks(page: Page, server: str, lane: int = 0, step: int = 3, **asked: Any) -> dict[str, Any]:
    return told(page, server, {"name": "kronecker-blocks", **asked}, lane, step)


def opened(page: Page, server: str, view: str) -> Locator:
    page.goto(server + ADDRESS + view)
    figure = page.locator(f"[data-view={view}]")
    figure.scroll_into_view_if_needed()
    return figure


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace("−", "-")) for cell in cells if cell != "–"]


def agrees(figure: Locator, data: dict[str, Any]) -> None:
    """The table of steps has the answer's numbers, and each heatmap its error."""
    rows = figure.locator(".heat-steps tbody").evaluate("b => [...b.rows].map(r => [...r.cells].map(c => c.innerText))")
    assert [row[0] for row in rows] == [part["title"] for part in data["representations"]]
    for row, part in zip(rows, data["representations"], strict=True):
        step = part["step"]
        values = [part["error"], part["inverse_error"], part["undamped_error"], step["norm"], step["cosine"]]
        values += [step["model"], step["scale"], step["rescaled"]]
        expected = [value for value in values if value is not None]
        assert numbers(row[1:]) == pytest.approx(expected, rel=6e-4)
    captions = figure.locator(".heat-grid .heat-caption").all_inner_texts()[1:]
    errors = [100 * part["error"] for part in data["representations"][1:]]
    assert [float(caption.partition(" %")[0]) for caption in captions] == pytest.approx(errors, rel=6e-3)


def test_steps_and_errors_are_the_apis_and_follow_the_step_and_the_lane(
    page: Page, server: str, screenshots: Path
) -> None:
    figure = opened(page, server, "kronecker-blocks")
    eventually(lambda: agrees(figure, blocks(page, server)))
    page.screenshot(path=screenshots / "kronecker-blocks.png", full_page=True)
    page.get_by_role("slider", name="Step", exact=True).fill("1")
    eventually(lambda: agrees(figure, blocks(page, server, step=1)))
    page.locator("table.lanes button.lane").nth(1).click()
    figure.scroll_into_view_if_needed()  # out of sight it does not ask
    eventually(lambda: agrees(figure, blocks(page, server, lane=1, step=1)))
    expect(figure.locator(".view-readout").filter(has_text="321 weights in 3 layers")).to_contain_text("η = 2")


def test_damping_of_ones_own_and_one_layer_alone(page: Page, server: str) -> None:
    figure = opened(page, server, "kronecker-blocks")
    eventually(lambda: agrees(figure, blocks(page, server)))
    number = figure.get_by_label("damping, as a number")
    number.fill("0.3")
    number.press("Enter")
    eventually(lambda: agrees(figure, blocks(page, server, damping=0.3)))
    expect(figure.get_by_label("the lane’s own damping")).not_to_be_checked()
    figure.get_by_label("Weights of").select_option("layer 2")
    eventually(lambda: agrees(figure, blocks(page, server, damping=0.3, layer=2)))
    expect(figure.get_by_role("application", name="Block-tridiagonal")).to_have_count(0)
    figure.get_by_label("the lane’s own damping").check()
    eventually(lambda: agrees(figure, blocks(page, server, layer=2)))


def test_an_entry_is_told_to_pointer_and_keyboard(page: Page, server: str) -> None:
    figure = opened(page, server, "kronecker-blocks")
    eventually(lambda: agrees(figure, blocks(page, server)))
    data, entry = blocks(page, server), figure.locator(".heat-entry")
    # Of the first layer's 32 weights a cell holds three, in the order unit by unit, the bias after the input.
    assert data["cells"]["count"][:2] == [3, 3]
    exact = figure.get_by_role("application", name="Exact G")
    exact.focus()
    for key in ("Home", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(entry).to_contain_text("layer 1, unit 2 bias … unit 3 bias × layer 1, unit 4 input 1 … unit 5 input 1")

    def value(kind: str, row: int, column: int) -> None:
        text = entry.inner_text()
        for part in data["representations"]:
            said = text.partition(f"{part['title']} ")[2].partition(";")[0].rstrip(".")
            assert numbers([said]) == pytest.approx([part[kind][row][column]], rel=6e-3)

    eventually(lambda: value("matrix", 1, 2))
    figure.get_by_label("Show").select_option("their inverses")
    exact.focus()
    for key in ("Home", "End"):
        page.keyboard.press(key)
    last = len(data["cells"]["first"]) - 1
    eventually(lambda: value("inverse", last, last))
    page.keyboard.press("Escape")
    expect(entry).to_contain_text("Point at an entry")
    box = exact.bounding_box()
    assert box
    side = (box["width"] - 15) / (last + 1)  # beside the layers' names
    page.mouse.move(box["x"] + 15 + 40.5 * side, box["y"] + 15 + 7.5 * side)
    eventually(lambda: value("inverse", 7, 40))


def test_the_size_of_each_block_and_the_eigenvalues_stand_in_tables(page: Page, server: str) -> None:
    figure = opened(page, server, "kronecker-blocks")
    eventually(lambda: agrees(figure, blocks(page, server)))
    data = blocks(page, server)
    sizes, spectrum = figure.locator(".heat-figure"), figure.locator(".heat-spectrum")
    figure.get_by_label("Show").select_option("their inverses")
    sizes.locator("summary").click()
    rows = eventually(lambda: _some(table(sizes)))
    assert len(rows) == 6 * 9
    corner = [row for row in rows if row[1:3] in (["1", "3"], ["3", "1"])]
    assert {row[0]: float(row[4]) > 0 for row in corner} == {
        part["title"]: part["name"] == "exact" for part in data["representations"]
    }
    figure.get_by_label("Factors of").select_option("layer 3")
    spectrum.locator("summary").click()
    layer = data["layers"][2]
    expected = [list(row) for row in zip(layer["exact"], layer["products"], layer["corrected"], strict=True)]
    eventually(lambda: _same([[float(cell) for cell in row[1:]] for row in table(spectrum)], expected))


def _some(rows: list) -> list:
    assert rows
    return rows


def _same(one: Any, other: Any) -> None:
    assert one == other


def test_what_does_not_exist_is_said_in_its_place(page: Page, server: str) -> None:
    figure = opened(page, server, "kronecker-blocks")
    eventually(lambda: agrees(figure, blocks(page, server)))
    number = figure.get_by_label("damping, as a number")
    number.fill("0")
    number.press("Enter")
    expect(figure.locator(".heat-steps")).to_contain_text("refused: a damped Kronecker factor is singular")
    figure.get_by_label("Show").select_option("their inverses")
    expect(figure.locator(".heat.missing")).to_have_count(6)


@pytest.mark.parametrize("page", [{"viewport": PHONE, "color_scheme": "dark"}], indirect=True)
def test_on_a_phone_nothing_is_wider_than_the_page(page: Page, server: str, screenshots: Path) -> None:
    figure = opened(page, server, "kronecker-blocks")
    eventually(lambda: agrees(figure, blocks(page, server)))
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.screenshot(path=screenshots / "kronecker-blocks-phone.png", full_page=True)


def test_sizes_of_the_problem_and_of_the_lectures_network(page: Page, server: str, screenshots: Path) -> None:
    figure = opened(page, server, "representation-size")
    widths = figure.get_by_label("Layer widths")
    expect(widths).to_have_value("1, 16, 16, 1")
    data = told(page, server, {"name": "representation-size"})
    rows = figure.locator(".size-blocks tbody tr")
    expect(rows).to_have_count(3)
    for row, block in zip(rows.all(), data["blocks"], strict=True):
        first, count = block["first"], block["count"]
        cells = [block["name"], ", ".join(block["weights"]), " × ".join(map(str, block["shape"]))]
        assert row.locator("th, td").all_inner_texts() == [*cells, str(first), str(first + count - 1), str(count)]
    figure.get_by_role("button", name="The lecture").click()
    expect(figure.locator(".size-number")).to_have_text(
        ["9,000,000,000,000", "3,000,000,000,000", "10,000,000", "6,000,000", "3,000,000"]
    )
    expect(figure.locator(".view-readout")).to_contain_text("9 trillion entries, its blocks 3 trillion")
    expect(figure.get_by_role("checkbox", name="biases")).not_to_be_checked()
    page.screenshot(path=screenshots / "representation-size.png")
    figure.get_by_role("button", name="This network").click()
    expect(widths).to_have_value("1, 16, 16, 1")


@pytest.mark.console("status of 422")
def test_widths_that_cannot_be_are_said_beside_them(page: Page, server: str) -> None:
    figure = opened(page, server, "representation-size")
    widths, error = figure.get_by_label("Layer widths"), figure.locator(".view-error")
    expect(widths).to_have_value("1, 16, 16, 1")
    for written, says in (("7", "at least two whole numbers"), ("100000, 100000", "no exact number in JSON")):
        widths.fill(written)
        widths.press("Enter")
        expect(error).to_contain_text(says)
        expect(widths).to_have_attribute("aria-invalid", "true")
    widths.fill("3, 2")
    widths.press("Enter")
    expect(error).to_be_empty()
    expect(figure.locator(".size-number")).to_have_text(["64", "64", "20", "20", "8"])
