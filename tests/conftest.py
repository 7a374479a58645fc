"""What holds for every test.

The environment is fixed before anything imports JAX: the tests compare bytes and closed forms, so they run on the CPU,
and BLAS keeps to one thread, as it does in the server's worker.
"""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drops the compiled programs of a module: each holds memory maps, of which a process has 65,530 on Linux."""
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
