"""Fixtures of the browser tests: a real server, a real Chromium, and a page whose console must stay silent.

    def test_title(page, server):
        page.goto(server)
        assert page.title() == "Second Order"

    @pytest.mark.parametrize("page", [{"color_scheme": "dark", "viewport": PHONE}], indirect=True)
    def test_narrow_and_dark(page, server): ...

    @pytest.mark.console(r"status of 422")   # this test provokes an answer that Chromium reports on the console
    def test_refused(page, server): ...

The browser lives as long as this folder's tests and no longer: Playwright's synchronous interface keeps an event loop
running in the main thread, in which the server's own tests could not start theirs.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.browser import chromium
from tests.serving import running_server

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 640}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with chromium.running() as browser:
            yield browser
    except chromium.Missing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    """The address of a server of its own, without a slash at its end."""
    with running_server() as address:
        yield address


@pytest.fixture
def new_page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Callable[..., Page]]:
    """`new_page(**options)` opens a page in a fresh context (options: Playwright's for a context).

    Whatever a page throws or writes to its console as an error fails the test when it ends.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"{message.text} ({message.location.get('url')})")

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(30_000)
        context.on("console", listen)
        context.on("weberror", lambda raised: complaints.append(str(raised.error)))
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    allowed = [re.compile(pattern) for mark in request.node.iter_markers("console") for pattern in mark.args]
    unexpected = [text for text in complaints if not any(pattern.search(text) for pattern in allowed)]
    assert not unexpected, "the page reported:\n" + "\n".join(unexpected)


@pytest.fixture
def page(request: pytest.FixtureRequest, new_page: Callable[..., Page]) -> Page:
    """A page in a fresh context; parametrize it indirectly with a context's options (viewport, color_scheme, …)."""
    return new_page(**getattr(request, "param", {}))


@pytest.fixture(scope="session")
def screenshots(pytestconfig: pytest.Config) -> Path:
    """The folder where tests leave pictures to be looked at (ignored by git)."""
    folder = pytestconfig.rootpath / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
