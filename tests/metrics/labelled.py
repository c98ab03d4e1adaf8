"""Random and adversarial examples of one shape, so that one compilation serves all of them."""

import warnings

import numpy as np


class Agreement:
    """Counts comparisons with an oracle and keeps the largest difference."""

    def __init__(self):
        self.cases, self.worst = 0, 0.0

    def add(self, ours, theirs, what="", atol=1e-6):
        """Asserts equality to `atol`, NaN with NaN."""
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=str(what))
        finite = np.isfinite(theirs)
        self.worst = max(self.worst, np.max(np.abs(ours[finite] - theirs[finite]), initial=0))
        self.cases += 1

    def __str__(self):
        return f"{self.cases} cases, largest difference {self.worst:.1e}"


def quietly(function, *args, **kwargs):
    """A call to scikit-learn without its warnings of undefined scores, which are asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


KINDS = ["random", "absent", "one class", "one answer", "one and one", "perfect", "never", "rare"]


def classes_of(kind, rng, n, c):
    """Predictions and labels [n] of a kind."""
    labels, predictions = rng.integers(0, c, (2, n))
    if kind == "absent":
        some = rng.choice(c, 2, replace=False)
        labels, predictions = some[labels % 2], rng.choice(c, 3, replace=False)[predictions % 3]
    if kind in ("one class", "one and one"):
        labels[:] = rng.integers(c)
    if kind in ("one answer", "one and one"):
        predictions[:] = rng.integers(c)
    if kind == "perfect":
        predictions = labels.copy()
    if kind == "never":
        predictions = (labels + rng.integers(1, c, n)) % c
    if kind == "rare":
        labels, predictions = (np.where(rng.random(n) < 0.05, x, 1) for x in (labels, predictions))
    return predictions, labels


def masks_and_weights(rng, count, n):
    """Half of the cases masked, half of them weighted, over six orders of magnitude."""
    where = (rng.random((count, n)) < 0.7) | (np.arange(count) % 2 == 0)[:, None]
    weights = rng.lognormal(sigma=2, size=(count, n)).astype(np.float32)
    weights[np.arange(count) % 4 < 2] = 1
    return where, weights
