"""Shift: whether two sets of rows come from one distribution, feature by feature and together."""

from typing import NamedTuple

import numpy as np
from flax import nnx
from jaxtyping import Float

from xentjax.audit.auc import auc_estimate
from xentjax.audit.cross_validation import out_of_fold_logits
from xentjax.audit.estimate import Estimate
from xentjax.audit.given import Given, finite_of

# Up to this many cells the lattice paths of the exact p-value are counted.
_EXACT_CELLS = 4_000_000
# Below this, 1 − (paths inside) has lost its digits and the asymptote takes over.
_SMALLEST_EXACT = 1e-9


class KolmogorovSmirnov(NamedTuple):
    """How far each feature's distribution in one set lies from that in the other."""

    distances: Float[np.ndarray, " F"]  # largest gap of the two distribution functions
    p_values: Float[np.ndarray, " F"]
    adjusted: Float[np.ndarray, " F"]  # by Holm, for looking at F features


class TwoSampleClassifier(NamedTuple):
    """How well linear models tell rows of two sets apart that they were not trained on."""

    auc: float  # 0.5 where they cannot
    low: float
    high: float
    null: Float[np.ndarray, " permutations"]  # the AUC after set labels were permuted
    p_value: float


def kolmogorov_smirnov(first: Given, second: Given) -> KolmogorovSmirnov:
    r"""The two-sample Kolmogorov–Smirnov test of every feature, corrected by Holm.

        D = max_x |F₁(x) − F₂(x)|

    P-values are exact (lattice paths) up to 4 million pairs of rows, Kolmogorov's limit beyond or
    below 10⁻⁹ (where it may be off by a factor of two); with ties, as of whole numbers, they are
    too large, which is careful. Prefer it to see which feature moved; prefer
    `two_sample_classifier` for shifts in how features go together, which it cannot see.

    Args:
        first: [N, F], finite.
        second: [M, F], finite.

    Returns:
        `KolmogorovSmirnov`.

    Raises:
        ValueError: if a set is empty, the features differ in number or one is not finite.

    Example:
        >>> rows = np.arange(4.0)[:, None]
        >>> found = kolmogorov_smirnov(rows, rows + 10)
        >>> found.distances[0].item()
        1.0
        >>> round(found.p_values[0].item(), 6)  # 2 of C(8, 4) = 70 orders
        0.028571

    Reference:
        J. L. Hodges, The Significance Probability of the Smirnov Two-Sample Test, 1958.
        S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    first, second = _read(first, second)
    distances = np.array(
        [_distance(a, b) for a, b in zip(first.T, second.T, strict=True)], np.float64
    )
    different, places = np.unique(distances, return_inverse=True)
    p = np.array([smirnov_p_value(float(d), len(first), len(second)) for d in different])[places]
    return KolmogorovSmirnov(distances, p, holm(p))


def smirnov_p_value(distance: float, n: int, m: int) -> float:
    """The chance of so large a distance between two samples of one continuous distribution.

    Args:
        distance: D in [0, 1].
        n: rows of the first sample, at least 1.
        m: of the second.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> round(smirnov_p_value(0.5, 2, 2), 6)  # all 6 orders but none: D is never below 1/2
        1.0
    """
    if not (0 <= distance <= 1 and n >= 1 and m >= 1):
        raise ValueError(
            f"distance must lie in [0, 1], n and m be at least 1, got {distance}, {n}, {m}"
        )
    if n * m <= _EXACT_CELLS:
        p = 1 - _share_of_paths_below(distance, n, m)
        if p > _SMALLEST_EXACT:
            return p
    # Kolmogorov's limit; its series alternates, and below 0.2 every term is near 1.
    x = distance * np.sqrt(n * m / (n + m))
    if x < 0.2:
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2 * ((-1.0) ** (k - 1) * np.exp(-2 * (k * x) ** 2)).sum(), 0, 1))


def holm(p_values: Float[np.ndarray, " F"]) -> Float[np.ndarray, " F"]:
    """P-values corrected for their number: reject those below α, and α holds for all together.

    The smallest is multiplied by F (as Bonferroni does with all), the next by F − 1, …

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()  # 3·0.01, 2·0.03, and not below that
        [0.03, 0.06, 0.06]

    Reference:
        S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values, dtype=np.float64)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def two_sample_classifier(
    first: Given,
    second: Given,
    *,
    folds: int = 4,
    permutations: int = 19,
    steps: int = 150,
    seed: int = 0,
) -> TwoSampleClassifier:
    r"""Whether linear models can tell two sets of rows apart, judged on rows held out.

    Cross-validated softmax regressions on standardized features say which set a row is from; the
    AUC of their answers is 0.5 where the sets are alike. The null permutes which set a row is
    from and trains anew, all in one cohort of (1 + permutations) · folds models. The p-value is
    (1 + how many of the null reach the AUC) / (1 + permutations).

    The interval is that of `auc_estimate`, with the models held fixed: it says how well this AUC
    is known, and a little less than how much other splits of the data would give. A linear model
    sees shifts of means and of linear mixtures, not of spreads alone; there see
    `kolmogorov_smirnov`.

    Args:
        first: [N, F], finite.
        second: [M, F], finite.
        folds: of the cross-validation.
        permutations: of the null; 19 allow a p-value of 0.05.
        steps: optimizer steps of each model.
        seed: of folds, trainings and permutations.

    Returns:
        `TwoSampleClassifier`.

    Raises:
        ValueError: if a set has fewer rows than folds, the features differ in number or one is
            not finite, or permutations is negative.

    Reference:
        D. Lopez-Paz, M. Oquab, Revisiting Classifier Two-Sample Tests, 2017.
    """
    first, second = _read(first, second)
    if min(len(first), len(second)) < folds:
        raise ValueError(
            f"first and second must have at least folds = {folds} rows each, got {len(first)} and "
            f"{len(second)}"
        )
    if permutations < 0:
        raise ValueError(f"permutations must be at least 0, got {permutations}")
    features = _standardized(np.concatenate([first, second]))
    sets = np.repeat([0, 1], [len(first), len(second)])
    rng = np.random.default_rng(seed)
    labels = np.stack([sets, *(rng.permutation(sets) for _ in range(permutations))])
    logits = out_of_fold_logits(
        _linear_of(features.shape[1]),
        features,
        labels,
        folds=folds,
        seed=seed,
        steps=steps,
        learning_rate=0.03,
        together=1,  # so small that side by side they only wait for their gathers
    )
    scores = logits[..., 1] - logits[..., 0]
    null = np.array([_auc(s, row).value for s, row in zip(scores[1:], labels[1:], strict=True)])
    auc, low, high = _auc(scores[0], sets)
    p_value = (1 + int((null >= auc).sum())) / (1 + permutations)
    return TwoSampleClassifier(auc, low, high, null, p_value)


def _auc(scores: np.ndarray, sets: np.ndarray) -> Estimate:
    return auc_estimate(scores[sets == 1], scores[sets == 0])


def _linear_of(features: int):
    return lambda key: nnx.Linear(features, 2, rngs=nnx.Rngs(key))


def _standardized(features: np.ndarray) -> np.ndarray:
    spread = features.std(axis=0)
    return ((features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32)


def _distance(a, b):
    """The largest gap of two empirical distribution functions; it lies at a value of either."""
    values = np.concatenate([a, b])
    a, b = np.sort(a), np.sort(b)
    first = np.searchsorted(a, values, side="right") / len(a)
    second = np.searchsorted(b, values, side="right") / len(b)
    return np.abs(first - second).max()


def _share_of_paths_below(distance: float, n: int, m: int) -> float:
    """The share of orders of n and m values in which the distance stays below the one given.

    An order is a lattice path from (0, 0) to (n, m); at (i, j) the gap is |i/n − j/m|. Along a
    row, the paths that stay below are running sums of those of the row before.
    """
    n, m = min(n, m), max(n, m)
    j = np.arange(m + 1)
    # In whole numbers: the gap times n·m, and the given one as the whole number it stands for.
    bound = round(distance * n * m)
    paths = (j * n < bound).astype(np.float64)
    log_scale = 0.0
    for i in range(1, n + 1):
        paths = np.cumsum(np.where(np.abs(i * m - j * n) < bound, paths, 0.0))
        paths = np.where(np.abs(i * m - j * n) < bound, paths, 0.0)
        top = paths.max()
        if top == 0:
            return 0.0
        paths, log_scale = paths / top, log_scale + np.log(top)
    if paths[-1] == 0:
        return 0.0
    log_all = np.log1p(m / np.arange(1, n + 1)).sum()  # log C(n + m, n)
    return float(min(1.0, np.exp(np.log(paths[-1]) + log_scale - log_all)))


def _read(first: Given, second: Given) -> tuple[np.ndarray, np.ndarray]:
    found = finite_of(first, "first", "rows features"), finite_of(second, "second", "rows features")
    if found[0].shape[1] != found[1].shape[1]:
        raise ValueError(
            f"second must have {found[0].shape[1]} features like first, got {found[1].shape[1]}"
        )
    return found
