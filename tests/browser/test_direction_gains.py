"""Gains along the Hessian's eigenvectors: the bars, their table and the words are the API's answer, as are dampings."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, opened, table

VIEW = "direction-gains"
SPEC: dict[str, Any] = {
    "problem": {"name": "linear-regression", "features": [], "shift": 0, "held_out": 0.8, "noise": 1},
    "optimizers": [{"name": "gradient-descent"}, {"name": "damped-newton", "damping": 0.3}],
    "seed": 1,
    "steps": 20,
}
ADDRESS = (
    "/?problem=linear-regression:features=;shift=0;held_out=0.8;noise=1&optimizer=gradient-descent"
    f"&optimizer=damped-newton:damping=0.3&seed=1&steps=20&views={VIEW}&at=16"
)
COLUMNS = ["eigenvalues", "steps", "train", "held_out", "predicted"]

expect.set_options(timeout=20_000)


def told(page: Page, server: str, lane: int, step: int, **probe: Any) -> tuple[dict[str, Any], list[float]]:
    """What the API answers, and the lane's held-out losses."""
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    page.request.get(f"{server}{run['events']}").body()
    rows = page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()
    body = {"run": run["id"], "lane": lane, "step": step, "probe": {"name": VIEW, **probe}}
    data = page.request.post(f"{server}/api/probes", data=body).json()["data"]
    return data, [row["test_loss"] for row in rows if row["lane"] == lane]


def written(value: float, digits: int = 4) -> str:
    text = f"{value:.{digits}g}" if abs(value) >= 1e-3 else f"{value:.{digits - 1}e}".replace("e-0", "e-")
    return text.replace("-", "−")


def shows(figure: Locator, answer: tuple[dict[str, Any], list[float]], step: int) -> None:
    """Of the answer the table has every number, the words the losses and the lowest so far."""
    data, losses = answer
    expected = [list(row) for row in zip(*(data[name] for name in COLUMNS), strict=True)]
    lowest = min(losses[: step + 1])

    def check() -> None:
        assert [[float(cell) for cell in row[1:]] for row in table(figure)] == expected
        words = figure.locator(".view-readout").last.inner_text()
        assert f"step {step}: training loss {written(data['loss'])}, held-out loss {written(losses[step])}" in words
        if lowest < losses[step]:
            assert f"lowest so far was {written(lowest)}, at step {losses.index(lowest)}" in words
        else:
            assert "That is the lane’s lowest held-out loss so far" in words
        parted = [pair for pair in zip(data["train"], data["held_out"], strict=True) if pair[0] < 0 < pair[1]]
        assert f"Along {len(parted)} of 11 directions" in words
        sign = "+" if data["whole"]["held_out"] > 0 else ""
        assert f"and {sign}{written(data['whole']['held_out'], 3)}." in words

    eventually(check, 60)


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_steps_lanes_and_dampings_are_answered(
    page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    figure = opened(page, server + ADDRESS, VIEW)
    shows(figure, told(page, server, 0, 16), 16)
    page.screenshot(path=screenshots / f"{VIEW}-{request.node.callspec.id}.png", full_page=True)
    damping = figure.locator(f'.control[data-path="{VIEW}.damping"]').get_by_role("textbox")
    expect(damping).to_have_value("0")
    page.get_by_role("slider", name="Step", exact=True).fill("3")
    shows(figure, told(page, server, 0, 3), 3)

    # Each lane has its own damping, until the reader says another.
    page.locator("table.lanes tbody tr").nth(1).get_by_role("button").press("Enter")
    shows(figure, told(page, server, 1, 3), 3)
    expect(damping).to_have_value("0.3")
    damping.fill("2")
    damping.press("Enter")
    shows(figure, told(page, server, 1, 3, damping=2), 3)
    expect(figure.locator(".view-readout").last).to_contain_text("The damped Newton step (η = 2)")


def test_of_as_many_weights_as_usual_it_is_asked_too(page: Page, server: str) -> None:
    """The catalog knows a problem of that size, and nothing held out of it."""
    address = "/?problem=linear-regression:held_out=0.5&optimizer=gradient-descent&steps=2"
    figure = opened(page, f"{server}{address}&views={VIEW}", VIEW)
    expect(figure.locator(".plot-table tbody tr")).to_have_count(2)


def test_it_is_for_held_out_data(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=linear-regression&optimizer=gradient-descent&steps=2&views=curves,{VIEW}")
    expect(page.locator("[data-view=curves]")).to_be_visible()
    expect(page.locator(f"[data-view={VIEW}]")).to_have_count(0)
    box = page.get_by_role("checkbox", name="Gains by direction")
    expect(box).to_be_disabled()
    assert "hold out a share" in (page.locator("label", has=box).get_attribute("title") or "")
