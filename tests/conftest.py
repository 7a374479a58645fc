"""What holds for every test.

The environment is fixed before anything imports JAX: the tests compare bytes and closed forms, so they run on the CPU,
and BLAS keeps to one thread, as it does in the server's worker.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
