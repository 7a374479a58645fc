"""What importing the package asks of the libraries under JAX."""

import os
import subprocess
import sys

import pytest

AGAIN = """
import resource
import numpy as np
import secondorder
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(10_000_000).fill(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = faults()
print(first, max(faults() for _ in range(5)))
"""


def python(code: str, **environment: str) -> str:
    usual = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=usual | environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_one_thread_for_lapack_unless_the_environment_says_otherwise(given: dict[str, str], expected: str):
    assert python("import os, secondorder; print(os.environ['OPENBLAS_NUM_THREADS'])", **given) == expected


def test_a_large_buffer_is_handed_out_again_without_new_pages():
    first, again = map(int, python(AGAIN).split())
    assert first > 20  # 80 MB, in huge pages at best
    assert again < first / 10
