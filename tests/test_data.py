"""Real data as scikit-learn has them, and the split into training and held-out examples."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from secondorder.data import breast_cancer, diabetes, digits, split

X, T = np.arange(20.0).reshape(10, 2), np.arange(10)


def test_nothing_held_out_is_all_the_data_in_order():
    data = split(X, T, 0.0, 0)
    assert data.test is None
    np.testing.assert_array_equal(data.train.inputs, X)
    np.testing.assert_array_equal(data.train.targets, T)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_every_example_is_either_held_out_or_not(share):
    data = split(X, T, share, 0)
    assert data.test is not None
    assert len(data.test.targets) == round(10 * share)
    np.testing.assert_array_equal(np.sort(np.concatenate([data.train.targets, data.test.targets])), T)
    for part in (data.train, data.test):
        np.testing.assert_array_equal(part.inputs, X[part.targets])


def test_the_split_follows_from_the_seed():
    first, again, other = (split(X, T, 0.5, seed).train.targets for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_breast_cancer_is_scikit_learns():
    theirs: Any = load_breast_cancer()
    x, t, names = breast_cancer()
    np.testing.assert_array_equal(x, theirs.data)
    np.testing.assert_array_equal(t, theirs.target)
    assert names == list(theirs.feature_names)
    assert x.shape == (569, 30)
    assert t.sum() == 357  # benign


def test_digits_are_scikit_learns_with_pixels_in_0_to_1():
    theirs: Any = load_digits()
    x, t = digits()
    np.testing.assert_array_equal(x * 16, theirs.data)
    np.testing.assert_array_equal(t, theirs.target)
    assert t.dtype.kind == "i"
    assert x.shape == (1797, 64)
    assert (x.min(), x.max()) == (0, 1)


def test_diabetes_is_scikit_learns():
    theirs: Any = load_diabetes(scaled=False)
    x, t = diabetes()
    np.testing.assert_array_equal(x, theirs.data)
    np.testing.assert_array_equal(t, theirs.target)
    assert x.shape == (442, 10)


def test_reading_does_not_import_what_takes_longer_than_a_run():
    program = "import sys; from secondorder import data; data.digits(); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
