r"""Real data out of installed packages, and the share of it that is held out."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
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


def table(name: str, **how: Any) -> np.ndarray:
    """A table among scikit-learn's data files, read without importing it: that takes longer than most runs."""
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn is installed with this package"
    assert package.origin is not None
    return np.loadtxt(Path(package.origin).parent / "datasets" / "data" / name, **how)


@lru_cache
def breast_cancer() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """569 tumours x 30 measurements, target 1 benign and 0 malignant, and the measurements' names (scikit-learn)."""
    measured = (
        *("radius", "texture", "perimeter", "area", "smoothness"),
        *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
    )
    names = [form.format(one) for form in ("mean {}", "{} error", "worst {}") for one in measured]
    found = table("breast_cancer.csv", delimiter=",", skiprows=1)
    return found[:, :-1], found[:, -1], names


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 images 8x8 of handwritten digits with pixels in 0…1, and their classes (scikit-learn)."""
    found = table("digits.csv.gz", delimiter=",")
    return found[:, :-1] / 16, found[:, -1].astype(int)


@lru_cache
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """442 patients x 10 measurements in their own units, and how far the disease was a year later (scikit-learn)."""
    return table("diabetes_data_raw.csv.gz"), table("diabetes_target.csv.gz")
