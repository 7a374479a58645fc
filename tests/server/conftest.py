"""One real server for all tests of this folder that do it no harm."""

from collections.abc import Iterator

import httpx
import pytest

from tests.serving import Server, server


@pytest.fixture(scope="session")
def site() -> Iterator[Server]:
    """A server's process; whoever stops it or kills its worker starts one of his own."""
    with server(SECONDORDER_WARM="0") as started:
        yield started


@pytest.fixture
def client(site: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.address, timeout=60) as client:
        yield client
