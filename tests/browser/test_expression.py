"""A cost that is typed in the page: drawn as soon as it is one, and its mistakes marked where they are until then."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, query

expect.set_options(timeout=30_000)  # what is awaited here comes at once on an idle machine

ADDRESS = "/?problem=expression&optimizer=newton&steps=20&views=curves,landscape"
BOWL = "x^2 + 2*y^2 + 1"
LOOKS = [{}, {"color_scheme": "dark"}, {"viewport": PHONE}, {"viewport": PHONE, "color_scheme": "dark"}]
NAMES = ["wide", "wide-dark", "phone", "phone-dark"]


def control(page: Page, path: str = "problem.cost") -> Locator:
    return page.locator(f'.control[data-path="{path}"]')


def field(page: Page) -> Locator:
    return control(page).get_by_role("textbox")


def lanes(page: Page) -> Locator:
    return page.locator("table.lanes tbody tr")


def finished(page: Page) -> None:
    expect(lanes(page).first).to_be_visible()
    expect(lanes(page).filter(has_text="running")).to_have_count(0)


def opened(page: Page, address: str) -> None:
    page.goto(address)
    finished(page)
    page.locator("[data-view=curves] summary", has_text="Data table").click()


def losses(page: Page) -> list[float]:
    """The losses that are drawn."""
    rows = page.locator("[data-view=curves] .plot-table tbody").evaluate(
        "body => [...body.rows].map(r => [...r.cells].map(c => c.innerText))"
    )
    return [float(row[3].replace("−", "-")) for row in rows]


def told_by_the_api(page: Page, server: str, cost: str, **fields: Any) -> list[float]:
    spec = {"problem": {"name": "expression", "cost": cost}, "optimizers": [{"name": "newton"}], "steps": 20, **fields}
    run = page.request.post(f"{server}/api/runs", data=spec).json()
    page.request.get(f"{server}{run['events']}").body()
    return [row["loss"] for row in page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()]


def draws(page: Page, server: str, cost: str, **fields: Any) -> None:
    expected = told_by_the_api(page, server, cost, **fields)
    eventually(lambda: _equal(losses(page), expected))


def _equal(drawn: list[float], expected: list[float]) -> None:
    assert drawn == pytest.approx(expected, rel=1e-3, abs=1e-12)


def write(page: Page, text: str) -> None:
    """Types over what stands there, key by key."""
    field(page).focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text, delay=20)


@pytest.mark.parametrize("page", LOOKS, indirect=True, ids=NAMES)
@pytest.mark.console(r"status of 422")
def test_typing_a_cost(page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest):
    opened(page, server + ADDRESS)
    write(page, BOWL)
    draws(page, server, BOWL)
    expect(page.locator(".complaint:visible")).to_have_count(0)
    finished(page)
    name = request.node.callspec.id
    page.screenshot(path=screenshots / f"expression-{name}.png", full_page=True)

    before, address = losses(page), page.evaluate("location.href")
    write(page, "x^2 + * y")
    complaint = control(page).get_by_role("alert")
    expect(complaint).to_contain_text("At character 7, “*” stands where a number")
    expect(control(page).locator(".place mark")).to_have_text("*")
    expect(field(page)).to_have_attribute("aria-invalid", "true")
    expect(field(page)).to_be_focused()
    assert field(page).input_value() == "x^2 + * y"
    assert losses(page) == before
    assert page.evaluate("location.href") == address
    control(page).scroll_into_view_if_needed()
    page.screenshot(path=screenshots / f"expression-{name}-wrong.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    write(page, "x^4 + y^2")
    draws(page, server, "x^4 + y^2")
    expect(complaint).to_be_hidden()
    expect(control(page).locator(".place")).to_be_hidden()
    assert field(page).get_attribute("aria-invalid") is None


def test_the_address_keeps_the_text(page: Page, server: str):
    cost = "e^(-x^2)*y + x^4 + y**2 / 2"
    opened(page, server + ADDRESS)
    write(page, cost)
    page.keyboard.press("Enter")
    draws(page, server, cost)
    assert f"expression:cost={cost}" in query(page)["problem"]
    page.reload()
    finished(page)
    assert field(page).input_value() == cost
    page.locator("[data-view=curves] summary", has_text="Data table").click()
    draws(page, server, cost)
    page.go_back()
    eventually(lambda: _default(page))
    draws(page, server, field(page).input_value())


def _default(page: Page) -> None:
    assert query(page)["problem"] == ["expression"]
    assert field(page).input_value() != ""


@pytest.mark.console(r"status of 422")  # of figures that ask about as many weights as there were
def test_what_is_typed_meanwhile_is_not_taken_away(page: Page, server: str):
    """One weight, then two: the start's field follows, and the text and its caret stay."""
    opened(page, server + ADDRESS)
    start = control(page, "start").get_by_role("textbox")
    write(page, "x^4")
    expect(start).to_have_count(1)
    expect(page.locator("[data-view=landscape]")).to_have_count(0)  # it needs two
    expect(field(page)).to_be_focused()
    page.keyboard.type(" + ", delay=20)
    page.keyboard.type("y^2", delay=20)
    expect(start).to_have_count(2)
    expect(field(page)).to_be_focused()
    assert field(page).input_value() == "x^4 + y^2"
    draws(page, server, "x^4 + y^2")


@pytest.mark.console(r"status of 422")
def test_the_start_stays_where_it_can(page: Page, server: str):
    opened(page, server + ADDRESS + "&start=1,2")
    write(page, "x^2 + y^4")
    draws(page, server, "x^2 + y^4", start=[1, 2])
    assert query(page)["start"] == ["1,2"]
    write(page, "x^4")
    draws(page, server, "x^4")
    assert "start" not in query(page)


def test_it_is_a_problem_like_any_other(page: Page, server: str):
    """Chosen from the list by keyboard, with what it knows told beneath it."""
    page.goto(server)
    finished(page)
    page.get_by_label("Problem", exact=True).select_option("expression")
    expect(field(page)).to_be_visible()
    finished(page)
    page.locator(".panel summary", has_text="About").first.click()
    expect(page.locator(".panel .about").first).to_contain_text("natural logarithm")


@pytest.mark.console(r"status of 422")
def test_an_address_with_a_wrong_text_says_so_where_it_stands(page: Page, server: str):
    page.goto(f"{server}/?problem=expression:cost=sine(x)&optimizer=newton&views=curves&steps=20")
    expect(control(page).get_by_role("alert")).to_contain_text("“sine” is not known; did you mean sin?")
    expect(control(page).locator(".place mark")).to_have_text("sine")
    write(page, BOWL)
    finished(page)
    page.locator("[data-view=curves] summary", has_text="Data table").click()
    draws(page, server, BOWL)


def test_an_address_with_too_long_a_text(page: Page, server: str):
    opened(page, f"{server}/?problem=expression:cost={'x+' * 150}x&optimizer=newton&views=curves&steps=20")
    expect(page.locator(".notice")).to_contain_text("more than 200 characters was left out")
