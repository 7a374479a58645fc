"""What holds for every test.

The environment is fixed before anything imports JAX: the tests compare bytes and closed forms, so they run on the CPU,
and BLAS keeps to one thread, as it does in the server's worker. Most of the tests' time is XLA's compiling, so programs
are kept from one run of the tests to the next, in a folder apart from that of the tests' servers, whose workers are
killed now and then while they write.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "secondorder-tests-programs"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drops the compiled programs of a module: each holds memory maps, of which a process has 65,530 on Linux."""
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
