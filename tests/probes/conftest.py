"""The runs that several probes' tests look at."""

import pytest

from tests.probes import asking


@pytest.fixture(scope="package")
def sliced():
    """A finished run of five weights: its planes are slices."""
    return asking.five_weights()
