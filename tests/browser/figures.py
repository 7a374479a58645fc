"""Reads the figures of a page: drawn data stand where every reader can read them, in each figure's data table."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from playwright.sync_api import Locator, Page


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What ``check`` gives as soon as it no longer fails."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def opened(page: Page, address: str, view: str) -> Locator:
    """A figure, in sight and with its data table open."""
    page.goto(address)
    figure = page.locator(f"[data-view={view}]")
    figure.scroll_into_view_if_needed()
    figure.locator("summary", has_text="Data table").click()
    return figure


def query(page: Page) -> dict[str, list[str]]:
    """What the page's address says now.

    `page.url` is what Playwright has heard of it, and while a test sleeps Playwright hears nothing.
    """
    return parse_qs(page.evaluate("location.search.slice(1)"))


def table(figure: Locator) -> list[list[str]]:
    return figure.locator(".plot-table tbody").evaluate(
        "body => [...body.rows].map(r => [...r.cells].map(c => c.innerText))"
    )


def paths(figure: Locator) -> dict[str, list[list[float]]]:
    """Each lane's drawn points (w0, w1), by its label."""
    found: dict[str, list[list[float]]] = {}
    for label, step, *numbers in table(figure):
        if ":" in label:
            continue  # the quadratic model's own rows
        assert len(found.setdefault(label, [])) == int(step)
        found[label].append([float(number) for number in numbers[:2]])
    return found
