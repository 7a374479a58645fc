"""Costs with their gradients and Hessians in numpy, for the problems that probes are asked of."""

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.datasets import load_breast_cancer

from tests.probes.asking import FEATURES, PROBLEM


def himmelblau(w):
    """J, g, H of (x² + y - 11)² + (x + y² - 7)²."""
    x, y = w
    a, b = x**2 + y - 11, x + y**2 - 7
    g = np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])
    H = np.array([[4 * a + 8 * x**2 + 2, 4 * x + 4 * y], [4 * x + 4 * y, 2 + 4 * b + 8 * y**2]])
    return a**2 + b**2, g, H


def _data():
    bunch: Any = load_breast_cancer()
    x = bunch.data[:, [list(bunch.feature_names).index(name) for name in FEATURES]]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.column_stack([x, np.ones(len(x))]), bunch.target


X, T = _data()


def breast_cancer(w):
    """J, g, H of the logistic regression of `asking.PROBLEM`, its l2 term included."""
    z, L = X @ w, PROBLEM["l2"] * np.array([1.0, 1, 1, 1, 0])
    p = expit(z)
    J = np.mean(np.logaddexp(0, z) - T * z) + np.sum(L * w**2) / 2
    return J, X.T @ (p - T) / len(T) + L * w, (X.T * (p * (1 - p))) @ X / len(T) + np.diag(L)
