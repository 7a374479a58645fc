r"""Real data out of installed packages, and the share of it that is held out."""

from functools import lru_cache
from typing import Any

import numpy as np

from secondorder.core import Batch, Data

HELD_OUT: dict[str, Any] = {"title": "share of the data held out", "minimum": 0.0, "maximum": 0.9}


def split(inputs: np.ndarray, targets: np.ndarray, held_out: float, seed: int) -> Data:
    """``held_out`` of the examples, drawn by the seed, for testing; the rest for training."""
    tested = round(held_out * len(inputs))
    if not tested:
        return Data(Batch(inputs, targets))
    order = np.random.default_rng([seed, 2]).permutation(len(inputs))
    test, train = np.sort(order[:tested]), np.sort(order[tested:])
    return Data(Batch(inputs[train], targets[train]), Batch(inputs[test], targets[test]))


@lru_cache
def breast_cancer() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """569 tumours x 30 measurements, target 1 benign and 0 malignant, and the measurements' names (scikit-learn)."""
    from sklearn.datasets import load_breast_cancer  # here: importing it takes longer than most runs

    found: Any = load_breast_cancer()
    return found.data, found.target.astype(float), list(found.feature_names)


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 images 8x8 of handwritten digits with pixels in 0…1, and their classes (scikit-learn)."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    return found.data / 16, found.target


@lru_cache
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """442 patients x 10 measurements in their own units, and how far the disease was a year later (scikit-learn)."""
    from sklearn.datasets import load_diabetes

    found: Any = load_diabetes(scaled=False)
    return found.data, found.target
