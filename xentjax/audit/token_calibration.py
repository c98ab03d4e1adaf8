"""Token calibration: whether next tokens come as often as a language model says.

As `calibration` for classifiers, with one difference: the unit of chance is the passage, never the
token, because tokens that stand together are wrong together.
"""

import dataclasses
from functools import partial

import numpy as np

from xentjax.audit.bins import equal_mass_cells
from xentjax.audit.calibration import ReliabilityDiagram, check_at_least, root, root_estimate
from xentjax.audit.class_scores import log_softmax
from xentjax.audit.estimate import Z_95, Estimate, percentiles, shares
from xentjax.audit.scaling import TemperatureScaling, fit_temperature
from xentjax.audit.token_predictions import TokenLogits, TokenPredictions

_NULL_DRAWS = 300


@dataclasses.dataclass(frozen=True)
class TokenCalibration:
    """How far a language model's confidence can be taken at its word.

    Attributes:
        tokens: how many were counted.
        passages: how many were drawn from in resamples.
        accuracy: the share of tokens that were the likeliest.
        confidence: mean probability of the likeliest.
        overconfidence: mean confidence minus accuracy.
        error: the debiased calibration error, root mean square, in [0, 1].
        chance_error: what a perfectly calibrated model with these confidences stays below in 95 of
            100 texts.
        nats: mean cross-entropy of a token.
        diagram: the reliability diagram.
    """

    tokens: int
    passages: int
    accuracy: Estimate
    confidence: float
    overconfidence: Estimate
    error: Estimate
    chance_error: float
    nats: Estimate
    diagram: ReliabilityDiagram


def measure_token_calibration(
    found: TokenPredictions,
    *,
    bins: int = 15,
    diagram_bins: int = 10,
    resamples: int = 1000,
    seed: int = 0,
) -> TokenCalibration:
    r"""Confidence against hits, with intervals from resampled passages.

    In bins of equal mass, with n_b of N tokens and a mean gap g_b = conf_b − acc_b, the error is
    the root of

        E² = Σ_b n_b/N (g_b² − v_b),   v_b = P/(P − 1) Σ_p (Σ_{i of p in b} (conf_i − hit_i − g_b))²
                                             / n_b²

    where v_b is the variance of g_b between passages, so that topics that are easy or hard do not
    pass for miscalibration. The interval is the basic bootstrap of E² over passages, and begins at
    0 where a calibrated model would show as large an error in one of 20 texts.

    Prefer it to `measure_calibration` wherever rows come in runs; with fewer than some 30 passages
    the intervals are too narrow. Only the likeliest token is looked at, not the whole distribution.

    Args:
        found: of P ≥ 2 passages.
        bins: of equal mass, for the error.
        diagram_bins: of equal width, for the diagram.
        resamples: of the bootstrap.
        seed: of the bootstrap and of the chance error.

    Returns:
        A `TokenCalibration`.

    Raises:
        ValueError: there are fewer than two passages, a number is not finite, or an option is out
            of range.

    Example:
        >>> sure = np.full((2, 4), 0.75)
        >>> hits = np.array([[True, True, False, False]] * 2)
        >>> found = measure_token_calibration(TokenPredictions(sure, hits, np.ones((2, 4))))
        >>> print(f"{found.overconfidence.value:.2f} {found.error.value:.2f}")  # ¾ − ½ in both
        0.25 0.25

    Reference:
        A. Kumar, P. Liang, T. Ma, Verified Uncertainty Calibration, 2019. B. Efron,
        R. J. Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    sure, hits = np.asarray(found.confidence, np.float64), np.asarray(found.correct)
    losses = np.asarray(found.losses, np.float64)
    if len(sure) < 2 or not (np.isfinite(sure).all() and np.isfinite(losses).all()):
        raise ValueError(
            f"found must hold finite numbers of at least 2 passages, got shape {sure.shape}; "
            "give a longer text, or look for NaN in the model"
        )
    check_at_least(1, bins=bins, diagram_bins=diagram_bins)
    check_at_least(2, resamples=resamples)
    rng = np.random.default_rng(seed)
    weights = _resampled(rng, len(sure), resamples)
    error, chance = _error(sure, hits, bins, weights, rng)
    return TokenCalibration(
        tokens=sure.size,
        passages=len(sure),
        accuracy=_mean(hits, weights),
        confidence=float(sure.mean()),
        overconfidence=_mean(sure - hits, weights),
        error=error,
        chance_error=chance,
        nats=_mean(losses, weights),
        diagram=_diagram(sure, hits, diagram_bins, weights),
    )


def mean_difference(
    first: np.ndarray, second: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """The mean of first − second, [P, L] of the same tokens, with an interval over passages.

    Example:
        >>> mean_difference(np.full((3, 2), 2.0), np.full((3, 2), 0.5))
        Estimate(value=1.5, low=1.5, high=1.5)
    """
    weights = _resampled(np.random.default_rng(seed), len(first), resamples)
    return _mean(np.asarray(first, np.float64) - np.asarray(second, np.float64), weights)


def fit_token_temperature(tokens: TokenLogits) -> tuple[TemperatureScaling, Estimate]:
    r"""The temperature of the least cross-entropy, with an interval that knows of passages.

    With β = 1/T, scores u_i = E_p[x] − x_y and V_i = Var_p[x] at the minimum, the variance of β is
    P/(P − 1) Σ_p (Σ_{i of p} u_i)² / (Σ_i V_i)², carried over to log T.

    Args:
        tokens: of validation passages.

    Returns:
        The scaling of `fit_temperature`, and T with its interval; NaN ends at a bound or where
        there is one passage.

    Raises:
        ValueError: as `fit_temperature`.

    Example:
        >>> logits = np.tile(np.log(np.array([9.0, 1.0], np.float32)), (4, 1))
        >>> found = TokenLogits(logits, np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
        >>> print(f"{fit_token_temperature(found)[1].value:.2f}")  # log 9 / log 3
        2.00

    Reference:
        K.-Y. Liang, S. L. Zeger, Longitudinal Data Analysis Using Generalized Linear Models, 1986.
    """
    scaling = fit_temperature(tokens.logits, tokens.labels)
    temperature = scaling.temperature
    _, groups = np.unique(tokens.passages, return_inverse=True)
    count = int(groups.max()) + 1
    if scaling.at_bound or count < 2:
        return scaling, Estimate(temperature, float("nan"), float("nan"))
    logits = tokens.logits.astype(np.float64)
    p = np.exp(log_softmax(logits / temperature))
    mean = (p * logits).sum(axis=1)
    variance = (p * (logits - mean[:, None]) ** 2).sum()
    sums = np.bincount(groups, mean - logits[np.arange(len(logits)), tokens.labels])
    error = np.sqrt(count / (count - 1) * (sums**2).sum()) / variance
    reach = np.exp(Z_95 * temperature * error)
    return scaling, Estimate(temperature, float(temperature / reach), float(temperature * reach))


def _resampled(rng: np.random.Generator, passages: int, resamples: int) -> np.ndarray:
    """How often each passage is drawn, [R, P]; floats, for products of integers are slow."""
    drawn = rng.multinomial(passages, np.full(passages, 1 / passages), resamples)
    return drawn.astype(np.float64)


def _mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """Passages are of one length, so that the mean of their means is that of all tokens."""
    means = values.mean(axis=1)
    return percentiles(float(means.mean()), weights @ means / len(means))


def _error(sure, hits, bins, weights, rng) -> tuple[Estimate, float]:
    passages = len(sure)
    # A bin needs some tokens of several passages for its variance.
    cells = equal_mass_cells(sure.reshape(-1), max(1, min(bins, sure.size // 5)))
    sums = partial(_by_passage, cells.reshape(sure.shape), int(cells.max()) + 1)
    count, whole = sums(np.ones(sure.shape)), np.ones((1, passages))
    gaps = sums(sure - hits)
    square, truth = (float(x[0]) for x in _squares(whole, count, gaps))
    resampled = _squares(weights, count, gaps)[0]
    drawn = [
        _squares(whole, count, sums(sure - (rng.random(sure.shape) < sure)))[0][0]
        for _ in range(_NULL_DRAWS)
    ]
    chance = float(np.quantile(drawn, 0.95))
    return root_estimate(square, resampled, truth, chance), root(chance)


def _by_passage(cells: np.ndarray, bins: int, values: np.ndarray) -> np.ndarray:
    """The sums of values in each bin, passage by passage: [P, L] → [P, bins]."""
    rows = len(cells)
    places = cells + bins * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), values.ravel(), rows * bins).reshape(rows, bins)


def _squares(weights, count, gaps) -> tuple[np.ndarray, np.ndarray]:
    """E² and the same without debiasing, of each row of weights [R, P]."""
    passages = len(count)
    n = weights @ count
    held = np.maximum(n, 1)
    gap = weights @ gaps / held
    spread = (
        weights @ gaps**2 - 2 * gap * (weights @ (gaps * count)) + gap**2 * (weights @ count**2)
    )
    variance = passages / (passages - 1) * spread / held**2
    part = n / n.sum(axis=1, keepdims=True)
    return (part * (gap**2 - variance)).sum(axis=1), (part * gap**2).sum(axis=1)


def _diagram(sure, hits, bins, weights) -> ReliabilityDiagram:
    """Whiskers over passages, and never shorter than those of as many tokens by themselves."""
    cells = np.minimum((sure * bins).astype(int), bins - 1)
    count, came, said = (_by_passage(cells, bins, x) for x in (np.ones(sure.shape), hits, sure))
    total = count.sum(axis=0).astype(np.int64)
    accuracy, low, high = shares(came.sum(axis=0).astype(np.int64), total)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence = said.sum(axis=0) / total
        resampled = (weights @ came) / (weights @ count)
    for cell in np.flatnonzero(total):
        over = percentiles(accuracy[cell], resampled[:, cell])
        low[cell], high[cell] = np.fmin(low[cell], over.low), np.fmax(high[cell], over.high)
    return ReliabilityDiagram(total, confidence, accuracy, low, high)
