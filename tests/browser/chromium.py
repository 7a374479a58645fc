"""A Chromium for the browser tests: one that is installed, or else one that this file installs.

In this order: Chromium or Chrome on the PATH (or where macOS keeps them), the one that Playwright downloaded earlier,
as root on Debian the distribution's own, and else one that Playwright downloads now.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
HAS_APT = shutil.which("apt-get") is not None
# Playwright's driver is a program of its own and needs libatomic, which a small Debian lacks.
APT_INSTALL = "apt-get install -y chromium libatomic1"
PLAYWRIGHT = [sys.executable, "-m", "playwright"]

# Nothing leaves the machine: no updates, no reports, no QUIC. /dev/shm is 64 MB in a container, too little for a page.
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    *(["--no-sandbox"] if IS_ROOT else []),  # Chromium refuses its sandbox to root
]


class Missing(RuntimeError):
    """There is no Chromium here and none could be installed; the message names the command to run."""

    def __init__(self) -> None:
        command = f"sudo {APT_INSTALL}" if HAS_APT else f"{' '.join(PLAYWRIGHT)} install chromium"
        super().__init__(f"The browser tests need Chromium and could not install one. Run: {command}")


@contextmanager
def running() -> Iterator[Browser]:
    """A headless Chromium, installed first if there is none."""
    if not _starts(*PLAYWRIGHT, "--version"):
        _install()
        if not _starts(*PLAYWRIGHT, "--version"):
            raise Missing
    with sync_playwright() as playwright:
        if not (path := _find(playwright)):
            _install()
            path = _find(playwright)
        if not path:
            raise Missing
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def _find(playwright: Playwright) -> str | None:
    candidates = (*map(shutil.which, NAMES), playwright.chromium.executable_path)
    return next((path for path in candidates if path and _starts(path, "--version")), None)


def _starts(*command: str) -> bool:
    """Whether the program runs at all: it may lack the system's libraries, or be a stub for a store."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def succeeds(command: Sequence[str]) -> bool:
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode == 0

    debian = IS_ROOT and HAS_APT
    if not (debian and succeeds(["apt-get", "update"]) and succeeds(APT_INSTALL.split())):
        succeeds([*PLAYWRIGHT, "install", "chromium"])
