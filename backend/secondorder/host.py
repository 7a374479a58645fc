"""What a process that computes wants from the libraries under JAX, said before they are loaded.

Both were measured on K-FAC's steps (two cores): LAPACK's threads fight XLA's for the cores and halve its speed, and
glibc gives every large buffer back to the system and then pays for its pages anew, a third of a deep network's step.
"""

import contextlib
import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 1 << 30  # bytes that glibc may keep at hand instead of giving them back


def settle() -> None:
    """One thread for LAPACK, unless the environment says otherwise, and freed memory kept for the next step."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.platform == "linux":
        # Another C library than glibc has no mallopt, or one that refuses: nothing to set there.
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(TRIM_THRESHOLD, KEPT)
            mallopt(MMAP_THRESHOLD, KEPT)
